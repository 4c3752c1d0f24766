"""train.py with several targets: one tiny model for a target of one label and one of any number of them."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from conftest import Train
from transformers import AutoModelForSequenceClassification, pipeline

import inference
from failure import StepError
from serving.targets import Target, as_columns
from training import trainer

TEAM = Target("team", "one", tuple(tiny.LABELS))
TOPICS = Target("topics", "several", ("greeting", "thanks"))
SAYS = {"greeting": "hello", "thanks": "thank"}

LONG = {"epochs": 25, "early_stopping_patience": 12, "learning_rate": 0.005}
"""To find a word anywhere takes so tiny a model longer than to tell three words apart."""


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
    train_in(folder, sets=two_targets, triage_precision="team=0.8,topics=0.7", **LONG)
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
    model = train_in(tmp_path, sets=tmp_path / "sets", **LONG)
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
