"""What makes a training fast and changes nothing else: passes, threads, and what is not done twice."""

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import train
import transformers
from conftest import Train
from failure import StepError
from packing import model as packed
from serving.targets import Target
from training import machine, start_up
from training.inputs import TokenisedTexts, collator
from training.machine import tokens_that_fit
from training.trainer import ClassifierTrainer, class_weights, loss_function, passes
from transformers import AutoModelForSequenceClassification, AutoTokenizer

ONE = Target("team", "one", tuple(tiny.LABELS))
BOTH = (ONE, Target("topics", "several", ("greeting", "thanks")))

Batch = dict[str, torch.Tensor]


@pytest.fixture
def model(base_model: Path) -> Any:
    """A model without dropout: two passes draw other random numbers than one."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_pretrained(base_model, num_labels=3, **still)


def batch_of(lengths: list[int], columns: int = 0) -> Batch:
    """Random texts of these lengths; with `columns` a label is a row of so many."""
    chance = np.random.default_rng(1)
    labels = [chance.integers(2, size=columns) if columns else row % 3 for row in range(len(lengths))]
    return collator(0)(
        [
            (chance.integers(5, 25, length, dtype=np.int32), np.asarray(label))
            for length, label in zip(lengths, labels, strict=True)
        ]
    )


def texts_of(batch: Batch) -> list[torch.Tensor]:
    """The texts without padding."""
    rows = zip(batch["input_ids"], batch["attention_mask"], strict=True)
    return [ids[mask.bool()] for ids, mask in rows]


# --- passes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "rows"), [(0, [7]), (84, [7]), (83, [4, 3]), (40, [3, 2, 2]), (12, [1] * 7), (1, [1] * 7)]
)
def test_a_batch_over_the_limit_is_cut_into_even_parts(tokens: int, rows: list[int]) -> None:
    batch = batch_of([5, 12, 7, 3, 9, 4, 6])
    parts = passes(batch, tokens)
    assert [len(part["labels"]) for part in parts] == rows
    assert torch.equal(torch.cat([part["labels"] for part in parts]), batch["labels"])
    for part in parts:
        assert part["input_ids"].shape == part["attention_mask"].shape
        assert part["input_ids"].shape[1] - part["attention_mask"].sum(dim=1).max() < 8
    kept = [text for part in parts for text in texts_of(part)]
    assert all(torch.equal(one, other) for one, other in zip(kept, texts_of(batch), strict=True))


@pytest.mark.parametrize("targets", [(ONE,), BOTH])
def test_several_passes_give_the_gradients_and_the_loss_of_one(
    targets: tuple[Target, ...], base_model: Path, tmp_path: Path
) -> None:
    columns = 5 if len(targets) > 1 else 0
    batch = batch_of([20, 3, 18, 5, 30, 9, 11], columns)
    weights = class_weights(targets, batch["labels"].numpy() > 0 if columns else batch["labels"].numpy())
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_labels": columns or 3}
    found = []
    for tokens in (0, 60, 1):
        torch.manual_seed(1)
        model = AutoModelForSequenceClassification.from_pretrained(base_model, **still)
        arguments = transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to="none")
        trainer = ClassifierTrainer(
            tokens, model=model, args=arguments, compute_loss_func=loss_function(targets, weights)
        )
        trainer.current_gradient_accumulation_steps = 1
        loss = trainer.training_step(model, dict(batch), torch.tensor(batch["labels"].numel()))
        found.append((loss.item(), [parameter.grad for parameter in model.parameters()]))
    (loss, gradients), *others = found
    for other_loss, other_gradients in others:
        assert other_loss == pytest.approx(loss, rel=1e-5)
        for one, other in zip(gradients, other_gradients, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


def test_a_training_in_passes_learns_the_same(train_in: Train, base_model: Path, tmp_path: Path) -> None:
    still = tmp_path / "still"
    transformers.AutoModel.from_pretrained(base_model).save_pretrained(still)
    AutoTokenizer.from_pretrained(base_model).save_pretrained(still)
    config = json.loads((still / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(config))
    losses = []
    for name, given in {"whole": {}, "passes": {"tokens_per_pass": 100}}.items():
        train_in(tmp_path / name, base_model=still, epochs=3, **given)
        history = json.loads((tmp_path / name / "output/training.json").read_text())
        losses.append([epoch["loss"] for epoch in history["epochs"]])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.fixture
def small_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Any]:
    """The model on a device that has room for so many tokens."""

    def arrange(room: int) -> Any:
        def forward(input_ids: torch.Tensor, **given: torch.Tensor) -> Any:
            if input_ids.numel() > room:
                raise torch.OutOfMemoryError
            return whole(input_ids=input_ids, **given)

        whole = model.forward
        monkeypatch.setattr(model, "forward", forward)
        return model

    return arrange


@pytest.mark.parametrize(("room", "fit"), [(320, 0), (319, 160), (100, 80), (20, 20)])
def test_what_does_not_fit_into_memory_is_found_before_the_training(
    room: int, fit: int, small_memory: Callable[[int], Any]
) -> None:
    model, state = small_memory(room), torch.get_rng_state()
    batch = batch_of([20] * 16)
    assert tokens_that_fit(model, batch, "fp32") == fit
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert all(part["input_ids"].numel() <= room for part in passes(batch, fit))


def test_a_text_too_long_for_the_memory_is_an_error(small_memory: Callable[[int], Any]) -> None:
    with pytest.raises(StepError, match="too little memory for one text of 20 tokens: lower max_length"):
        tokens_that_fit(small_memory(19), batch_of([20] * 4), "fp32")


# --- threads and libraries ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "allowed", "quota", "threads"),
    [
        ({}, 8, np.inf, None),
        ({}, 8, 8.0, None),
        ({}, 64, 4.0, 4),
        ({}, 64, 0.5, 1),
        ({"OMP_NUM_THREADS": "3"}, 64, 4.0, None),
        ({"OMP_NUM_THREADS": "1"}, 64, 4.0, None),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "2"}, 8, np.inf, 4),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "4"}, 8, 4.0, 1),
        ({"OMP_NUM_THREADS": "3", "LOCAL_WORLD_SIZE": "2"}, 8, np.inf, None),
        ({"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "1"}, 8, np.inf, None),
        ({"LOCAL_WORLD_SIZE": "4"}, 2, np.inf, 1),
    ],
)
def test_threads_are_the_cores_that_a_rank_may_use(
    environment: dict[str, str], allowed: int, quota: float, threads: int | None
) -> None:
    assert start_up.own_threads(environment, allowed, quota) == threads


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, np.inf),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, np.inf),
        ({}, np.inf),
    ],
)
def test_the_containers_quota_is_read(files: dict[str, str], quota: float, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{content}\n")
    assert start_up.cpus(tmp_path)[1] == quota


def test_threads_sleep_where_others_compute_and_spin_shortly_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start_up, "busy_cores", lambda: 0.2)
    assert start_up.variables({})["GOMP_SPINCOUNT"] == "10000"
    monkeypatch.setattr(start_up, "busy_cores", lambda: 1.0)
    assert start_up.variables({})["OMP_WAIT_POLICY"] == "PASSIVE"
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):  # a person's choice stays, and is the only one
        assert not start_up.variables({name: "x"}).keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}


def test_what_others_use_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 10 900 50 0 0 0 0 0\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\nintr 5\n")
    later = "cpu  105 0 10 920 55 0 0 10 0 0\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\n"
    monkeypatch.setattr(start_up.time, "sleep", lambda seconds: stat.write_text(later))
    assert start_up.busy_cores(0.1, stat) == pytest.approx(15 / 40 * 4)
    assert start_up.busy_cores(0.1, tmp_path / "none") == 0


def test_a_library_that_is_left_out_is_missing_and_one_that_is_loaded_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(start_up.sys.modules, "mailbox", raising=False)
    start_up.leave_out(["mailbox", "json"])
    with pytest.raises(ModuleNotFoundError):
        import mailbox  # noqa: F401
    assert start_up.sys.modules["json"] is json
    monkeypatch.delitem(start_up.sys.modules, "mailbox")


def test_garbage_is_collected_again_after_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_up, "leave_out", lambda: None)
    frozen = gc.get_freeze_count()
    start_up.before_loading()
    assert not gc.isenabled()
    start_up.after_loading()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen


# --- measured well, and nothing twice -------------------------------------------------------------


def test_the_precision_is_measured_with_as_many_texts_as_tell(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def measure(model: Any, batch: Batch) -> tuple[float, float]:
        seen.append(len(batch["labels"]))
        return 2.0, 1.0

    monkeypatch.setattr(machine, "_measure", measure)
    for rows, length in ((32, 13), (64, 13), (16, 512), (16, 600)):
        batch = batch_of([length] * rows)
        assert machine.choose_precision("auto", model, batch, steps=100)[0] == "bf16"
    assert seen == [32, 39, 1, 1]


def test_the_last_step_leaves_no_optimizer(train_in: Train, tmp_path: Path) -> None:
    train_in(tmp_path, epochs=2)
    (run,) = (tmp_path / "checkpoints").iterdir()
    assert (run / "checkpoint-6/optimizer.pt").is_file()
    assert not (run / "checkpoint-12/optimizer.pt").exists()
    assert (run / "checkpoint-12/model.safetensors").is_file()


def test_the_validation_set_is_not_asked_again_and_the_model_is_the_same(
    train_in: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = packed.ask
    monkeypatch.setattr(packed, "ask", lambda *given: asked.append(1) or ask(*given))
    once = train_in(tmp_path / "once", epochs=2, triage_precision=0.9)
    assert not asked
    monkeypatch.setattr(train, "known_logits", lambda *_: None)
    again = train_in(tmp_path / "again", epochs=2, triage_precision=0.9)
    assert asked
    for path in (path for path in again.rglob("*") if path.is_file()):
        assert path.read_bytes() == (once / path.relative_to(again)).read_bytes(), path


def test_a_set_is_mapped_into_memory_as_it_was_saved(sets: Path, base_model: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    texts = TokenisedTexts.read(sets / "train", [ONE], tokenizer, 32, "head")
    texts.save(tmp_path / "0")
    loaded = TokenisedTexts.load(tmp_path / "0")
    for name, array in vars(texts).items():
        assert np.array_equal(getattr(loaded, name), array), name


def test_a_length_is_rounded_up_where_a_gpu_wants_it() -> None:
    batch = collator(9, multiple=8)([(np.arange(length), np.int64(0)) for length in (3, 11)])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, 16)
    assert batch["input_ids"][1, 11:].tolist() == [9] * 5
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 11]
