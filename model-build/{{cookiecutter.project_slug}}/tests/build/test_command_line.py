"""What a terminal shows of an evaluation and of a model's answers, with one target and with several."""

from pathlib import Path
from typing import Any

import pytest

from model_build.local import lines
from model_build.results import Result, summary

ARN = "arn:aws:sagemaker:ca-central-1:111111111111:model-package/router/3"


def figures(kind: str, value: float, triage: Any = None) -> dict[str, Any]:
    names = {
        "multiclass": ("accuracy", "macro_f1", "weighted_f1", "expected_calibration_error"),
        "multilabel": ("micro_f1", "macro_f1", "exact_match", "expected_calibration_error"),
    }[kind]
    figure = {"value": value, "confidence_interval": [value - 0.1, value + 0.1]}
    return {f"{kind}_classification_metrics": dict.fromkeys(names, figure), "triage": triage}


def test_the_summary_of_one_target() -> None:
    result = Result({**figures("multiclass", 0.8), "test_rows": 42}, Path("reports/x/report.html"), ARN)
    assert summary(result, Path()).splitlines() == [
        "On 42 test rows:",
        "  accuracy                    0.800   (95 % interval 0.700 to 0.900)",
        "  macro_f1                    0.800   (95 % interval 0.700 to 0.900)",
        "  weighted_f1                 0.800   (95 % interval 0.700 to 0.900)",
        "  expected_calibration_error  0.800   (95 % interval 0.700 to 0.900)",
        "Report: reports/x/report.html",
        f"Model package: {ARN} (PendingManualApproval)",
    ]


def test_the_summary_of_several_targets_names_each() -> None:
    triage = {"coverage": {"value": 0.6}, "precision": {"value": 0.956}}
    targets = {"sentiment": figures("multiclass", 0.8, triage), "topics": figures("multilabel", 0.5)}
    evaluation = {**figures("multiclass", 0.8), "targets": targets, "test_rows": 42}
    shown = summary(Result(evaluation, Path("report.html"), None), Path()).splitlines()
    assert shown[1:3] == [
        "  sentiment",
        "    accuracy                    0.800   (95 % interval 0.700 to 0.900)",
    ]
    assert "    without a person            0.600   (95.6% of these answers are right)" in shown
    assert shown[7:9] == [
        "  topics",
        "    micro_f1                    0.500   (95 % interval 0.400 to 0.600)",
    ]
    assert shown[-1] == "No model package: the quality gate did not pass."


SURE = [{"label": "gas", "score": 0.91}, {"label": "billing", "score": 0.04}]
UNSURE = [{"label": "gas", "score": 0.41, "needs_review": True}, {"label": "billing", "score": 0.38}]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (SURE, ["gas 91%, billing 4%"]),
        (UNSURE, ["gas 41%, billing 38%  ? needs review"]),
        ({"labels": SURE[:1], "needs_review": False}, ["gas 91%"]),
        ({"labels": []}, ["(none)"]),
        (
            {"team": UNSURE, "topics": {"labels": SURE, "needs_review": False}},
            ["", "    team    gas 41%, billing 38%  ? needs review", "    topics  gas 91%, billing 4%"],
        ),
    ],
)
def test_what_is_shown_of_an_answer(answer: Any, shown: list[str]) -> None:
    first, *others = lines("a text", answer)
    assert first.startswith("  a text") and first.split("a text")[1].strip() == shown[0]
    assert others == shown[1:]
