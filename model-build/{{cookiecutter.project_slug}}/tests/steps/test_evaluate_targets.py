"""evaluate.py on a model with two targets and triage: one label of three, and any number of two."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from conftest import Train
from sklearn import metrics as reference
from test_evaluate import HOSTILE, Page, made_up

import evaluate
from evaluation.measure import measure
from failure import StepError
from report.page import page
from report.registry import quality_report
from serving.targets import Target

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(train_in: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sets` of two targets, and the `model` trained on them."""
    folder = tmp_path_factory.mktemp("two-targets")
    for seed, (name, rows) in enumerate({"train": 120, "validation": 72, "test": 60}.items()):
        tiny.write_targets(folder / "sets" / name, rows, seed)
    train_in(folder, sets=folder / "sets", epochs=5, triage_precision="team=0.7,topics=0.6")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """Evaluates into a folder; returns it."""

    def evaluate_into(output: Path, *arguments: str) -> Path:
        paths = ["--model", str(folder / "model"), "--test", str(folder / "sets/test")]
        assert evaluate.main([*paths, "--output", str(output), *arguments]) == 0
        return output

    return evaluate_into


@pytest.fixture(scope="module")
def output(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an evaluation wrote. For reading: tests share it."""
    thresholds = ["--at-least", "team.accuracy=0.1", "--at-least", "topics.micro_f1=1", "--at-most"]
    return run(tmp_path_factory.mktemp("evaluation"), *thresholds, "topics.hamming_loss=0")


@pytest.fixture(scope="module")
def content(output: Path) -> dict[str, Any]:
    """What evaluation.json says."""
    found: dict[str, Any] = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    return found


def indicators(labels: list[list[str]]) -> np.ndarray:
    """Return rows of labels as bools, in the order of the target's labels."""
    return np.array([[label in row for label in tiny.TARGETS[1]["labels"]] for row in labels])


def test_the_figures_of_each_target_are_those_of_its_predictions(
    output: Path, content: dict[str, Any]
) -> None:
    predictions = pq.read_table(output / "predictions.parquet").to_pydict()
    fields = ("label", "prediction", "confidence", "needs_review")
    assert list(predictions) == [
        "row",
        *(f"{name}.{field}" for name in ("team", "topics") for field in fields),
    ]
    true, predicted = predictions["team.label"], predictions["team.prediction"]
    assert true == [tiny.LABELS[row % 3] for row in range(60)]
    team = content["targets"]["team"]["multiclass_classification_metrics"]
    assert team["accuracy"]["value"] == pytest.approx(reference.accuracy_score(true, predicted))

    true, predicted = indicators(predictions["topics.label"]), indicators(predictions["topics.prediction"])
    topics = content["targets"]["topics"]["multilabel_classification_metrics"]
    assert topics["exact_match"]["value"] == pytest.approx(reference.accuracy_score(true, predicted))
    assert topics["micro_f1"]["value"] == pytest.approx(reference.f1_score(true, predicted, average="micro"))
    assert topics["hamming_loss"]["value"] == pytest.approx(reference.hamming_loss(true, predicted))
    recall = reference.recall_score(true, predicted, average=None, zero_division=0)
    assert [topics["per_class"][name]["recall"] for name in ("greeting", "thanks")] == pytest.approx(recall)


def test_the_first_targets_figures_are_where_the_registry_looks(content: dict[str, Any]) -> None:
    team = content["targets"]["team"]["multiclass_classification_metrics"]
    assert content["multiclass_classification_metrics"] == team
    assert content["test_rows"] == 60
    assert "triage" not in content


def test_what_triage_does_is_that_of_the_predictions(output: Path, content: dict[str, Any]) -> None:
    predictions = pq.read_table(output / "predictions.parquet").to_pydict()
    accepted = ~np.array(predictions["team.needs_review"])
    right = np.array(predictions["team.label"]) == np.array(predictions["team.prediction"])
    triage = content["targets"]["team"]["triage"]
    assert triage["declared_precision"] == 0.7
    assert triage["coverage"]["value"] == pytest.approx(accepted.mean())
    assert accepted.any() and triage["precision"]["value"] == pytest.approx(right[accepted].mean())
    assert triage["precision_of_all"]["value"] == pytest.approx(right.mean())
    assert sum(each["accepted"] for each in triage["per_class"].values()) == accepted.sum()
    assert triage["curve"][-1] == {"coverage": 1.0, "precision": pytest.approx(right.mean(), abs=1e-6)}

    accepted = ~np.array(predictions["topics.needs_review"])
    pairs = zip(predictions["topics.label"], predictions["topics.prediction"], strict=True)
    counts = np.array(
        [(len(set(true) & set(said)) + (not true and not said), max(1, len(said))) for true, said in pairs]
    )
    triage = content["targets"]["topics"]["triage"]
    assert triage["coverage"]["value"] == pytest.approx(accepted.mean())
    right, answers = counts[accepted].sum(axis=0) if accepted.any() else (0, 1)
    assert triage["precision"]["value"] == pytest.approx(right / answers)
    assert triage["precision_of_all"]["value"] == pytest.approx(counts[:, 0].sum() / counts[:, 1].sum())
    assert set(triage["per_class"]) == {"greeting", "thanks", ""}
    for part in ("team", "topics"):
        errors = content["targets"][part]["triage"]["expected_calibration_error"]
        assert 0 <= errors["calibrated"] <= 1 and 0 <= errors["uncalibrated"] <= 1


def test_the_gate_names_the_target(content: dict[str, Any]) -> None:
    gate = content["gate"]
    assert [check["passed"] for check in gate["checks"]] == [True, False, False]
    pattern = r"topics\.micro_f1 0\.\d\d is below 1\.00; topics\.hamming_loss 0\.\d+ is above 0\.\d+"
    assert re.fullmatch(pattern, gate["message"])


@pytest.mark.parametrize(
    ("threshold", "known"),
    [
        ("accuracy=0.5", "team.accuracy, "),
        ("topics.accuracy=0.5", "topics.micro_precision, "),
        ("mood.accuracy=0.5", "team.accuracy, "),
    ],
)
def test_a_threshold_on_a_figure_that_there_is_not_is_refused(
    threshold: str, known: str, run: Run, tmp_path: Path
) -> None:
    name = threshold.partition("=")[0]
    with pytest.raises(StepError, match=f"--at-least {name}: expected a figure of this test set: ") as caught:
        run(tmp_path, "--at-least", threshold)
    assert known in str(caught.value) and "acceptance in config/model.yaml" in str(caught.value)


# --- the report -----------------------------------------------------------------------------------


def test_the_report_has_a_part_for_each_target(output: Path) -> None:
    source = (output / "report.html").read_text(encoding="utf-8")
    report = Page(source)
    assert not report.wrong and not report.open
    assert report.addresses == ["#target-team", "#target-topics"]
    assert all(f'id="{address[1:]}"' in source for address in report.addresses)
    assert "script" not in report.tags and "url(" not in source and "@import" not in source
    assert report.tags.count("svg") == 5 + 4  # no confusion matrix where there may be several labels
    for words in ("60 rows, 2 targets", "team: Accuracy", "topics: Hamming loss", "What it may answer alone"):
        assert words in report.text


@pytest.mark.parametrize("kind", ["one", "several"])
def test_a_report_with_triage_is_well_formed_and_escaped(kind: Any) -> None:
    target = Target("team", kind, (*HOSTILE, "gas"))
    examples, found = made_up(target, triage=True)
    evaluation = measure("A & B", examples, [found], [], {}, repeats=10, seed=1)
    report = Page(page(evaluation))
    assert not report.wrong and not report.open and not report.addresses
    assert "script" not in report.tags
    assert "Declared precision: 0.9." in report.text
    assert ("none of them" in report.text) == (kind == "several")
    triage = quality_report(evaluation)["triage"]
    assert 0 < triage["coverage"]["value"] < 1
    assert triage["per_class"]["gas"]["threshold"] == 0.6


def test_a_model_that_always_asks_a_person_has_a_report_too() -> None:
    examples, found = made_up(Target("team", "one", ("a", "b")), triage=True)
    always = {"review_below": {"a": 2.0, "b": 2.0}, "needs_review": np.ones(500, dtype=bool)}
    evaluation = measure("A", examples, [type(found)(**{**vars(found), **always})], [], {}, 10, 1)
    triage = quality_report(evaluation)["triage"]
    assert triage["coverage"]["value"] == 0 and triage["per_class"]["a"]["threshold"] is None
    assert "so a person looks at all of them" in Page(page(evaluation)).text
