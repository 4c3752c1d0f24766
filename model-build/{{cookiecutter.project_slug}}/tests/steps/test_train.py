"""train.py with the real Trainer on a tiny model."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from conftest import STEPS, Train
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import train
from evaluation.metrics import METRIC_DEFINITIONS
from failure import StepError
from serving.targets import Target
from serving.texts import tokenise
from training import trainer
from training.inputs import LengthGroupedSampler, TokenisedTexts
from training.machine import choose_precision
from training.trainer import last_complete

TARGET = Target("team", "one", tuple(tiny.LABELS))
SERVED = ["inference.py", *(f"serving/{path.name}" for path in (STEPS / "serving").glob("*.py"))]

# --- the model ------------------------------------------------------------------------------------


def test_the_model_folder_holds_what_serving_needs_and_nothing_else(trained: Path) -> None:
    model = trained / "model"
    found = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert found == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "serving.json",
        "profile.json",
        "vocabulary.bin",
        *(f"code/{name}" for name in SERVED),
    }
    for name in SERVED:
        assert (model / "code" / name).read_bytes() == (STEPS / name).read_bytes()
    assert json.loads((model / "serving.json").read_text()) == {
        "max_length": 32,
        "truncation": "head_tail",
        "text": tiny.TEXT,
        "redact": None,
        "targets": [
            {
                "name": "team",
                "kind": "one",
                "labels": tiny.LABELS,
                "temperature": 1.0,
                "review_below": None,
                "decide_at": None,
            }
        ],
    }
    config = json.loads((model / "config.json").read_text())
    assert config["id2label"] == {"0": "billing", "1": "elevators", "2": "gas"}
    assert config["label2id"] == {"billing": 0, "elevators": 1, "gas": 2}


def test_the_model_has_learned(trained: Path, sets: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    right = 0
    for text, label in tiny.examples(42, seed=2):
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=32)).logits
        right += model.config.id2label[int(logits.argmax())] == label
    assert right / 42 > 0.9


def test_the_best_epoch_is_kept(trained: Path) -> None:
    history = json.loads((trained / "output/training.json").read_text())
    best = max(epoch["macro_f1"] for epoch in history["epochs"])
    assert history["best_metric"] == {"macro_f1": best}
    assert history["epochs"][history["best_epoch"] - 1]["macro_f1"] == best


def test_the_model_is_that_of_the_best_epoch_not_of_the_last(train_in: Train, tmp_path: Path) -> None:
    # From the second epoch on the rate is so high that nothing good is left.
    model = train_in(tmp_path, epochs=4, learning_rate=0.5, warmup_ratio=0.9, early_stopping_metric="loss")
    history = json.loads((tmp_path / "output/training.json").read_text())
    assert history["best_epoch"] < len(history["epochs"])
    (run,) = (tmp_path / "checkpoints").iterdir()
    best = run / f"checkpoint-{6 * history['best_epoch']}"
    assert (model / "model.safetensors").read_bytes() == (best / "model.safetensors").read_bytes()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(train_in: Train, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> bytes:
        return (train_in(tmp_path / name, seed=seed, epochs=1) / "model.safetensors").read_bytes()

    one = weights("one", 1)
    assert one == weights("again", 1)
    assert one != weights("other", 2)


def test_class_weights_make_rare_classes_count_as_much_as_common_ones() -> None:
    labels = np.array([0] * 6 + [1] * 2)
    weights = train.class_weights([TARGET], labels)[0]
    assert weights.tolist() == pytest.approx([8 / 12, 8 / 4, 0])
    assert weights[labels].mean().item() == pytest.approx(1)
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    targets = torch.tensor([0, 0])
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    loss = train.loss_function([TARGET], [weights])({"logits": logits}, targets)
    assert loss.item() == pytest.approx(each.mean().item() * 8 / 12)


def test_it_trains_with_class_weights_and_bf16(train_in: Train, tmp_path: Path) -> None:
    train_in(tmp_path, class_weights="balanced", precision="bf16", epochs=1)
    assert json.loads((tmp_path / "output/training.json").read_text())["precision"] == "bf16"


# --- what is shown --------------------------------------------------------------------------------


def test_sagemaker_finds_every_metric_in_the_lines(
    train_in: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer.Progress, "SECONDS", 0.0)
    train_in(tmp_path, epochs=3)
    output = capsys.readouterr().out
    for definition in METRIC_DEFINITIONS:
        values = re.findall(definition["Regex"], output)
        assert len(values) == (1 if definition["Name"] == "train:loss" else 3), definition
        assert all(0 <= float(value) < 10 for value in values)
    epochs = [line for line in output.splitlines() if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in epochs] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]


@pytest.mark.parametrize(("seconds", "shown"), [(44.6, "45 s"), (200, "3 min 20 s"), (7505, "2 h 5 min")])
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert trainer.duration(seconds) == shown


# --- stopping early, and going on -----------------------------------------------------------------


def test_training_ends_when_the_metric_no_longer_improves(train_in: Train, tmp_path: Path) -> None:
    train_in(
        tmp_path, epochs=9, learning_rate=1e-9, early_stopping_patience=2, early_stopping_metric="accuracy"
    )
    history = json.loads((tmp_path / "output/training.json").read_text())
    assert len(history["epochs"]) == 3
    assert history["best_epoch"] == 1


@pytest.fixture
def sigterm_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes this process receive a real SIGTERM while it works on a given step."""

    def arrange(step: int) -> None:
        class Interrupted(trainer.Progress):
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == step - 1:
                    os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(train, "Progress", Interrupted)

    return arrange


@pytest.fixture(scope="module")
def whole(train_in: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model` and `output` of a training of three epochs that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    train_in(folder, epochs=3)
    return folder


# An epoch has 6 steps: within the first, at the end of one, within a later one, at its last step but one.
@pytest.mark.parametrize("step", [2, 6, 10, 17])
def test_after_sigterm_the_next_start_goes_on_and_ends_with_the_same_model(
    step: int,
    whole: Path,
    train_in: Train,
    sigterm_after: Callable[[int], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sigterm_after(step)
    model = train_in(tmp_path, epochs=3)
    assert not model.exists()
    assert f"stopped on SIGTERM after step {step} of 18, no model written" in capsys.readouterr().out
    monkeypatch.undo()

    train_in(tmp_path, epochs=3)
    output = capsys.readouterr().out
    assert f"continued after step {step}" in output
    assert ("epoch 1 of 3" in output) == (step < 6)
    assert (model / "model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()
    history = [json.loads((run / "output/training.json").read_text()) for run in (whole, tmp_path)]
    assert history[0] == history[1]


def test_checkpoints_are_found_again_when_their_folder_has_moved(
    train_in: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train_in(tmp_path / "one", epochs=3)
    shutil.copytree(tmp_path / "one/checkpoints", tmp_path / "two/checkpoints")
    shutil.rmtree(tmp_path / "one/checkpoints")
    again = train_in(tmp_path / "two", epochs=3)
    assert "continued after step 18" in capsys.readouterr().out
    assert (again / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_checkpoints_of_other_settings_or_data_are_left_alone(
    train_in: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], sets: Path
) -> None:
    train_in(tmp_path, epochs=1)
    train_in(tmp_path, epochs=1, learning_rate=0.02)
    other = tmp_path / "sets"
    shutil.copytree(sets, other)
    tiny.write_set(other / "train", tiny.examples(96, seed=9))
    train_in(tmp_path, epochs=1, sets=other)
    assert "continu" not in capsys.readouterr().out
    assert len(list((tmp_path / "checkpoints").iterdir())) == 3


def test_a_checkpoint_that_was_cut_off_is_not_used(trained: Path, tmp_path: Path) -> None:
    (run,) = (trained / "checkpoints").iterdir()
    finished = last_complete(run)
    assert finished is not None
    (whole,) = (path for path in run.glob("checkpoint-*") if path != finished)
    for number, damage in enumerate(("optimizer.pt", "model.safetensors", "trainer_state.json"), start=100):
        folder = tmp_path / f"checkpoint-{number}"
        shutil.copytree(whole, folder)
        (folder / damage).unlink()
    assert last_complete(tmp_path) is None
    shutil.copytree(whole, tmp_path / "checkpoint-9")
    assert last_complete(tmp_path) == tmp_path / "checkpoint-9"
    state = tmp_path / "checkpoint-9/trainer_state.json"
    state.write_text(state.read_text()[:-20])
    assert last_complete(tmp_path) is None


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_model": "/nowhere/model"}, "base model /nowhere/model: there is no such folder"),
        (
            {"base_model": "no-such/model"},
            "neither a folder, nor found on the Hugging Face hub .* package:NAME",
        ),
        ({"base_model": "s3://bucket/model"}, "train.py takes a folder or a hub id"),
        (
            {"base_model": str(STEPS)},
            r"expected a folder with config.json, weights and tokenizer; it holds .*\.py",
        ),
        ({"max_length": 65}, "max_length: .* has positions for 64 tokens, got 65; choose at most 64"),
        ({"precision": "fp16"}, "precision fp16: needs a CUDA GPU"),
        ({"epochs": "three"}, "--epochs: expected a whole number from 1 to 1000, got 'three'"),
        ({"learning_rate": 0}, "--learning-rate: expected a number above 0 to 1, got '0'"),
        ({"learning_rate": "nan"}, "--learning-rate: expected a number above 0 to 1, got 'nan'"),
        ({"truncation": "middle"}, "--truncation: invalid choice: 'middle'"),
        ({"no_such_setting": 1}, "unrecognized arguments: --no-such-setting 1"),
    ],
)
def test_a_mistake_in_the_settings_is_named(
    change: dict[str, object], message: str, train_in: Train, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=message):
        train_in(tmp_path, **change)


def test_a_missing_channel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SM_CHANNEL_TRAIN", raising=False)
    with pytest.raises(StepError, match="--train is missing, and so is SM_CHANNEL_TRAIN"):
        train.main([])


def _remove_labels(sets: Path) -> None:
    (sets / "validation/labels.json").unlink()


def _damage_labels(sets: Path) -> None:
    (sets / "train/labels.json").write_text('{"targets": ')


def _one_label(sets: Path) -> None:
    for name in ("train", "validation"):
        target = {"name": "team", "kind": "one", "labels": ["gas"]}
        (sets / name / "labels.json").write_text(json.dumps({"targets": [target], "text": tiny.TEXT}))


def _other_labels(sets: Path) -> None:
    tiny.write_set(sets / "validation", tiny.examples(6, 1), [*tiny.LABELS, "general"])


def _other_order(sets: Path) -> None:
    tiny.write_set(sets / "validation", tiny.examples(6, 1), tiny.LABELS[::-1])


def _label_out_of_range(sets: Path) -> None:
    labels = (sets / "train/labels.json").read_text()
    tiny.write_set(sets / "train", [("a text", "fourth")], [*tiny.LABELS, "fourth"])
    (sets / "train/labels.json").write_text(labels)


def _empty(sets: Path) -> None:
    tiny.write_set(sets / "validation", [])


def _no_data(sets: Path) -> None:
    (sets / "train/data.parquet").unlink()


def _not_parquet(sets: Path) -> None:
    (sets / "train/data.parquet").write_text("text,label")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_remove_labels, "validation/labels.json: not found; expected the folder that preprocess.py wrote"),
        (_damage_labels, r'train/labels.json: expected \{"targets": '),
        (_one_label, r"expected two or more different labels, got \['gas'\]"),
        (_other_labels, r"labels.json of .* differ \(.*only .*validation has \['general'\]\)"),
        (_other_order, r"labels.json of .* differ \(the order of the labels\)"),
        (_label_out_of_range, "row 1: label id 3 is not in labels.json, whose 3 labels have the ids 0 to 2"),
        (_empty, "validation: the set is empty"),
        (_no_data, "train: no Parquet file"),
        (_not_parquet, "data.parquet: not a readable Parquet file"),
    ],
)
def test_a_mistake_in_the_sets_is_named_before_anything_is_trained(
    damage: Callable[[Path], None], message: str, train_in: Train, sets: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "sets"
    shutil.copytree(sets, copy)
    damage(copy)
    with pytest.raises(StepError, match=message):
        train_in(tmp_path, sets=copy)
    assert not (tmp_path / "checkpoints").exists()


def test_weights_of_another_model_are_refused(train_in: Train, base_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(base_model, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps({**config, "model_type": "roberta", "num_hidden_layers": 4})
    )
    with pytest.raises(StepError, match=r"of the encoder's \d+ weights are not in its files"):
        train_in(tmp_path, base_model=other)


def test_a_training_that_diverges_says_so(
    train_in: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss_function(targets: object, weights: object) -> Callable[..., torch.Tensor]:
        return lambda outputs, labels, num_items_in_batch=None: outputs["logits"].sum() * float("nan")

    monkeypatch.setattr(train, "loss_function", loss_function)
    with pytest.raises(
        StepError, match="the training diverged: the loss is nan after epoch 1; lower learning_rate"
    ):
        train_in(tmp_path, epochs=1)


def test_the_process_ends_with_one_line_and_leaves_the_reason(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            STEPS / "train.py",
            "--train",
            "nowhere",
            "--validation",
            "nowhere",
            "--base-model",
            "x",
        ],
        env={**os.environ, "SM_OUTPUT_DIR": str(tmp_path / "output")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    reason = "nowhere/labels.json: not found; expected the folder that preprocess.py wrote for this set"
    assert done.stderr == f"error: {reason}\n"
    assert (tmp_path / "output/failure").read_text() == reason


# --- parts ----------------------------------------------------------------------------------------


def test_the_sampler_draws_every_text_once_and_batches_of_like_length() -> None:
    lengths = np.random.default_rng(1).integers(3, 256, 1003)
    order = list(LengthGroupedSampler(lengths, 16, seed=1, epoch=lambda: 0))
    assert sorted(order) == list(range(1003))
    batches = [lengths[order[start : start + 16]] for start in range(0, 1003, 16)]
    padded = sum(len(batch) * batch.max() for batch in batches)
    assert padded < 1.1 * lengths.sum()
    longest = [batch.max() for batch in batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    lengths = np.arange(100) % 7

    def order(seed: int, epoch: int) -> list[int]:
        return list(LengthGroupedSampler(lengths, 8, seed, lambda: epoch))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("head", [0, 1, 2, 3, 4, 5]), ("tail", [4, 5, 6, 7, 8, 9]), ("head_tail", [0, 5, 6, 7, 8, 9])],
)
def test_long_texts_are_cut_by_the_policy_and_keep_their_special_tokens(
    policy: str, kept: list[int], base_model: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    words = tiny.FILLERS[:10]
    (ids,) = tokenise(tokenizer, [" ".join(words)], 8, policy)
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", *(words[index] for index in kept), "[SEP]"]
    assert tokenise(tokenizer, ["a short text", ""], 8, policy)[1] == tokenizer("")["input_ids"]


def test_tokenised_texts_come_back_as_they_went_in(sets: Path, base_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    texts = TokenisedTexts.read(sets / "train", [TARGET], tokenizer, 32, "head")
    rows = tiny.examples(96, seed=0)
    assert len(texts) == 96
    for index in (0, 1, 95):
        ids, label = texts[index]
        assert ids.tolist() == tokenizer(rows[index][0], truncation=True, max_length=32)["input_ids"]
        assert tiny.LABELS[label] == rows[index][1]
    ordered = texts.by_length()
    assert (np.diff(ordered.lengths) >= 0).all()
    assert sorted(map(tuple, (each[0] for each in texts))) == sorted(
        map(tuple, (each[0] for each in ordered))
    )


def test_measuring_the_precision_changes_neither_the_model_nor_the_random_numbers(trained: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained / "model")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = {"input_ids": torch.full((4, 9), 7), "attention_mask": torch.ones(4, 9, dtype=torch.long)}
    batch["labels"] = torch.tensor([0, 1, 2, 0])
    state = torch.get_rng_state()
    chosen, reason = choose_precision("auto", model, batch, steps=1000)
    assert chosen in ("fp32", "bf16")
    assert re.fullmatch(r"bf16 measured \d+\.\d times as fast as fp32 on this CPU", reason)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
