"""The command line: what `check` finds, what needs no workbench, and what is shown of figures and answers."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from model_build.check import check
from model_build.load import load
from model_build.local import lines
from model_build.versions import Result, summary

# `python -m MODULE …` where some packages are not installed.
WITHOUT = """
import runpy, sys

missing = sys.argv.pop(1).split()

class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
sys.path.insert(0, sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


WORKBENCH = "mlops_workbench moto"
"""What wheels/ has, and what that stands on."""


def without(missing: str, repository: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, missing, str(ROOT), module, *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, encoding="utf-8", timeout=120)


def test_a_build_checks_and_starts_without_the_workbench(repository, edit, monkeypatch) -> None:
    """What buildspecs/ run. The start goes as far as it can without AWS: the definition is built."""
    for name, value in {
        "ACCESS_KEY_ID": "none",
        "SECRET_ACCESS_KEY": "none",
        "EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    edit(
        "config/project.yaml",
        "kms_key_arn: null",
        "kms_key_arn: arn:aws:kms:ca-central-1:111111111111:key/0a1b",
    )
    checked = without(WORKBENCH, repository, "model_build", "check")
    assert checked.returncode == 0, checked.stderr
    started = without(WORKBENCH, repository, "model_build", "run", "--no-wait", "--parameter", "Epoch=3")
    assert (started.returncode, started.stdout) == (1, "")
    assert started.stderr.startswith("--parameter Epoch=3: expected NAME=VALUE with NAME one of InputDataUrl")
    pushed = without(
        f"{WORKBENCH} sagemaker numpy torch phonenumbers", repository, "model_build.serving_image"
    )
    assert (pushed.returncode, pushed.stdout) == (1, "")
    assert pushed.stderr.startswith("serving_image/Dockerfile: expected the image of serving.image lean")


@pytest.mark.parametrize("arguments", [["run"], ["local"], ["status", "--local"], ["predict", "texts.jsonl"]])
def test_what_needs_the_workbench_says_so_in_one_line(repository, arguments) -> None:
    done = without(WORKBENCH, repository, "model_build", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "package mlops_workbench is not installed" in done.stderr and "`make setup`" in done.stderr


def test_one_module_imports_the_workbench() -> None:
    modules = (ROOT / "model_build").glob("*.py")
    uses = re.compile(r"(?m)^\s*(from|import) mlops_workbench")
    assert [path.name for path in modules if uses.search(path.read_text(encoding="utf-8"))] == ["local.py"]


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


MODEL = "config/model.yaml"


@pytest.fixture
def look(two_targets, edit):
    """Writes rows of subject, sentiment and topics as the data; returns what check finds."""
    edit(MODEL, "[subject, body]", "[subject]")
    edit(MODEL, "group_column: conversation", "group_column: null")

    def look(rows: list[tuple[str, str, object]], name: str = "data/emails.csv") -> list[tuple[bool, str]]:
        edit(MODEL, "source: data/emails.csv", f"source: {name}")
        if name.endswith("csv"):
            lines = ["subject,sentiment,topics", *(",".join(map(str, row)) for row in rows)]
        else:
            lines = [
                json.dumps(dict(zip(("subject", "sentiment", "topics"), row, strict=True))) for row in rows
            ]
        (two_targets / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [(each.good, each.text) for each in check(load(two_targets), None)]

    return look


GOOD = [
    (f"text {number}", ("good", "bad")[number % 2], "food;staff" if number % 3 else "")
    for number in range(12)
]


@pytest.mark.parametrize("name", ["data/emails.csv", "data/comments.jsonl"])
def test_each_targets_labels_are_counted(look, name):
    rows = GOOD
    if name.endswith("jsonl"):
        rows = [(text, mood, topics.split(";") if topics else None) for text, mood, topics in GOOD]
    mood = "sentiment has 2 classes, the rarest is 'bad' (6)"
    topics = "topics has 2 labels, the rarest is 'food' (8)"
    assert (True, f"{name}: 12 rows; {mood}; {topics}") in look(rows, name)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [*GOOD, ("x", " ", "food")],
            "data.targets.sentiment: expected a label in 'sentiment' of at least 99.00% of the rows, found "
            "none in 1 of 13 (data/emails.csv row 13); label them, or raise data.max_bad_label_share",
        ),
        (
            [*GOOD, ("x", "good", "parking"), ("y", "good", "parking; food")],
            "data.targets.topics: expected at least 3 texts of each class, one for each set, found fewer of "
            "'parking' (2)",
        ),
        (
            [row for row in GOOD if row[1] == "good"],
            "data.targets.sentiment: expected at least two classes in 'sentiment'",
        ),
        ([(*row[:2], "") for row in GOOD], "data.targets.topics: expected labels in 'topics', found none"),
    ],
)
def test_what_a_run_would_refuse_is_said_with_the_target(look, rows, problem):
    assert any(not good and text.startswith(f"{MODEL}: {problem}") for good, text in look(rows))


def test_a_row_without_text_needs_no_label(look):
    assert all(good for good, _ in look([*GOOD, ("", "", "")]))
