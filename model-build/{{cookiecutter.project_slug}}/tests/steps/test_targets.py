"""Several targets, or several labels, in training and in evaluation."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from conftest import Train
from sklearn import metrics as reference
from test_evaluate import HOSTILE, Page, made_up
from transformers import AutoModelForSequenceClassification, pipeline

import evaluate
import inference
from evaluation.measure import measure
from failure import StepError
from report.page import page
from report.registry import quality_report
from serving.targets import Target, as_columns
from training import trainer

TEAM = Target("team", "one", tuple(tiny.LABELS))
TOPICS = Target("topics", "several", ("greeting", "thanks"))
SAYS = {"greeting": "hello", "thanks": "thank"}

Run = Callable[..., Path]


def example(row: int, chance: random.Random) -> tuple[str, str, list[int]]:
    """A text of which one word tells the team, and others each topic; half of them have a topic."""
    team = tiny.LABELS[row % 3]
    plain = [word for word in tiny.FILLERS if word not in SAYS.values()]
    topics = [index for index in range(2) if row >> index & 1]
    words = [*chance.choices(plain, k=chance.randint(2, 12)), tiny.TELLING[team]]
    words += [SAYS[TOPICS.labels[index]] for index in topics]
    chance.shuffle(words)
    return " ".join(words), team, topics


def write_set(folder: Path, rows: int, seed: int, targets: tuple[Target, ...] = (TEAM, TOPICS)) -> None:
    chance = random.Random(seed)
    examples = [example(row, chance) for row in range(rows)]
    columns = {
        "text": pa.array([text for text, _, _ in examples], pa.string()),
        "team.label": pa.array([tiny.LABELS.index(team) for _, team, _ in examples], pa.int32()),
        "topics.label": pa.array([topics for _, _, topics in examples], pa.list_(pa.int32())),
        "row": pa.array(range(1, rows + 1), pa.int64()),
    }
    if len(targets) == 1:
        columns["label"] = columns[f"{targets[0].name}.label"]
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "data.parquet")
    content = {"targets": [target.as_json() for target in targets], "text": tiny.TEXT}
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture(scope="module")
def two_targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two-targets")
    for seed, (name, rows) in enumerate({"train": 288, "validation": 72}.items()):
        write_set(folder / name, rows, seed)
    return folder


@pytest.fixture(scope="module")
def trained_for_two(train_in: Train, two_targets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained-for-two")
    # To find a word anywhere takes so tiny a model longer than to tell three words apart.
    long = {"epochs": 18, "early_stopping_patience": 12, "learning_rate": 0.005}
    train_in(folder, sets=two_targets, triage_precision="team=0.8,topics=0.7", **long)
    return folder


def test_one_head_learns_every_target(trained_for_two: Path) -> None:
    history = json.loads((trained_for_two / "output/training.json").read_text())
    best = history["epochs"][history["best_epoch"] - 1]
    assert best["targets"]["team"]["accuracy"] > 0.9
    assert best["targets"]["topics"]["macro_f1"] > 0.85
    assert best["macro_f1"] == pytest.approx(
        np.mean([best["targets"][name]["macro_f1"] for name in ("team", "topics")])
    )


def test_the_weights_are_a_standard_classifier_with_a_column_for_each_label(trained_for_two: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained_for_two / "model")
    assert list(model.config.id2label.values()) == [
        "team:billing",
        "team:elevators",
        "team:gas",
        "topics:greeting",
        "topics:thanks",
    ]
    assert model.config.problem_type == "multi_label_classification"
    ask = pipeline("text-classification", str(trained_for_two / "model"), device="cpu")
    scores = {each["label"]: each["score"] for each in ask("we have a furnace hello", top_k=None)}
    assert max((name for name in scores if name.startswith("team")), key=scores.__getitem__) == "team:gas"
    assert scores["topics:greeting"] > 0.5 > scores["topics:thanks"]


def test_serving_answers_each_target(trained_for_two: Path) -> None:
    serving = json.loads((trained_for_two / "model/serving.json").read_text())
    assert [each["name"] for each in serving["targets"]] == ["team", "topics"]
    assert all(each["review_below"] for each in serving["targets"])
    classifier = inference.model_fn(str(trained_for_two / "model"))
    body = json.dumps({"inputs": "about the invoice and thank you"})
    answer = inference.predict_fn(inference.input_fn(body, "application/json"), classifier)
    said = json.loads(inference.output_fn(answer, "application/json"))
    said = said[0] if isinstance(said, list) else said
    assert said["team"]["label"] == "billing"
    assert "thanks" in [each["label"] for each in said["topics"]["labels"]]
    assert isinstance(said["team"]["needs_review"], bool)


def test_the_profile_is_of_each_target(trained_for_two: Path) -> None:
    profile = json.loads((trained_for_two / "model/profile.json").read_text())
    assert profile["targets"]["team"]["labels"] == dict.fromkeys(tiny.LABELS, 96)
    assert profile["targets"]["topics"]["labels"] == {"greeting": 144, "thanks": 144, "(none)": 72}
    assert profile["targets"]["team"]["validation"]["texts"] == 72


def test_the_lines_of_an_evaluation_say_how_each_target_does(
    train_in: Train, two_targets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_in(tmp_path, sets=two_targets, epochs=1, class_weights="balanced")
    lines = capsys.readouterr().out.splitlines()
    at = next(number for number, line in enumerate(lines) if "validation:accuracy=" in line)
    assert lines[at + 1].startswith("  team: accuracy 0.")
    assert lines[at + 2].startswith("  topics: accuracy 0.")
    assert any("3 classes of team, 2 labels of topics" in line for line in lines)


def test_one_target_with_several_labels_trains(train_in: Train, tmp_path: Path) -> None:
    for seed, (name, rows) in enumerate({"train": 288, "validation": 72}.items()):
        write_set(tmp_path / "sets" / name, rows, seed, (TOPICS,))
    model = train_in(tmp_path, sets=tmp_path / "sets", epochs=8, early_stopping_patience=8)
    history = json.loads((tmp_path / "output/training.json").read_text())
    assert max(epoch["macro_f1"] for epoch in history["epochs"]) > 0.85
    config = json.loads((model / "config.json").read_text())
    assert config["id2label"] == {"0": "greeting", "1": "thanks"}
    assert config["problem_type"] == "multi_label_classification"


def test_triage_of_an_unknown_target_is_refused(train_in: Train, two_targets: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"triage_precision: expected a target \(team, topics\), got 'mood'"):
        train_in(tmp_path, sets=two_targets, triage_precision="mood=0.9")
    with pytest.raises(StepError, match="expected a number above 0 to 1, got '95'"):
        train_in(tmp_path, sets=two_targets, triage_precision="team=95")


def test_the_loss_is_the_mean_over_the_targets() -> None:
    targets = (TEAM, TOPICS)
    logits = torch.tensor([[2.0, 0.0, 1.0, 3.0, -1.0], [0.0, 0.5, 0.0, -2.0, 2.0]])
    truth = [np.array([0, 2]), np.array([[True, False], [True, True]])]
    labels = torch.from_numpy(as_columns(targets, truth)).float()
    of_team = torch.nn.functional.cross_entropy(logits[:, :3], torch.tensor([0, 2]))
    of_topics = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 3:], labels[:, 3:]) * 2
    loss = trainer.loss_function(targets, None)
    expected = (of_team.item() + of_topics.item()) / 2
    assert loss({"logits": logits}, labels).item() == pytest.approx(expected)
    # as the Trainer calls it: with the number of labels of all ranks, here of twice as many texts
    assert loss({"logits": logits}, labels, torch.tensor(20)).item() == pytest.approx(expected / 2)


def test_weights_make_rare_labels_count_as_much() -> None:
    truth = [
        np.array([0, 0, 0, 2]),
        np.array([[True, False], [False, False], [False, False], [False, False]]),
    ]
    team, topics = trainer.class_weights((TEAM, TOPICS), as_columns((TEAM, TOPICS), truth))
    assert team.tolist() == pytest.approx([4 / 6, 0, 2])
    assert topics.tolist() == pytest.approx([3, 4])


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
