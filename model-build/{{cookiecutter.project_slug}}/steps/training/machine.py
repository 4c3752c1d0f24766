"""The machine that a training runs on: its ranks, the number format, and the memory of its GPU.

What is measured when a training first begins is kept with its checkpoints. A restart, perhaps on a busier
machine, must not measure something else: it would end with another model.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers

from failure import StepError
from training.inputs import TokenisedTexts
from training.settings import Settings

RANK = int(os.environ.get("RANK", "0"))
RANKS = int(os.environ.get("WORLD_SIZE", "1"))
LOCAL_RANK = int(os.environ.get("LOCAL_RANK", "0"))

RESERVE = 0.05
"""Share of the GPU's memory that is left free: for libraries, and for memory in pieces."""

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Collate = Callable[..., dict[str, torch.Tensor]]

GAIN = 1.2
"""How much faster bf16 must be on a CPU to be taken; below that, fp32 is the safer choice."""

TOKENS = 512
"""How much of the batch is timed. A few short texts tell nothing: 8 of 13 tokens are as slow in bf16 as in
fp32, which hides that a batch of 32 is 1.7 times as fast."""

ROUNDS = 2
"""Passes that are timed, after one to warm up."""

PATIENCE = 10
"""Seconds after which a large model is measured no further."""


def say(line: str) -> None:
    """Print a line at once, from rank 0."""
    if RANK == 0:
        print(line, flush=True)


class Measured(NamedTuple):
    """How this training computes on this machine.

    Attributes:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        tokens_per_pass: most tokens that go through the model at once (trainer.py); 0: no limit.
    """

    precision: str
    tokens_per_pass: int


def measure_once(
    settings: Settings, folder: Path, model: Any, collate: Collate, train: TokenisedTexts, steps: int
) -> Measured:
    """Return what rank 0 found out when this training first began; the others take its word.

    Raises:
        StepError: the precision that is asked for does not work here, or not even one text fits in memory.
    """
    record = folder / "run.json"
    found = [Measured("", 0)]
    if RANK == 0 and record.is_file():
        content = json.loads(record.read_text(encoding="utf-8"))
        found = [Measured(content["precision"], content.get("tokens_per_pass", 0))]
    elif RANK == 0:
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        batch = typical(collate, train, settings.batch_size, model.device)
        precision, reason = choose_precision(settings.precision, model, batch, steps)
        say(f"precision {precision}: {reason}")
        tokens = settings.tokens_per_pass
        if not tokens and model.device.type == "cuda":
            tokens = tokens_that_fit(model, longest(collate, train, settings.batch_size), precision)
        if tokens:
            say(f"at most {tokens:,} tokens at once: larger batches take several passes")
        found = [Measured(precision, tokens)]
        folder.mkdir(parents=True, exist_ok=True)
        content = {**found[0]._asdict(), "reason": reason, "settings": settings.identity()}
        record.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if RANKS > 1:
        start_process_group()
        torch.distributed.broadcast_object_list(found)
    return Measured(*found[0])


def typical(collate: Collate, train: TokenisedTexts, rows: int, device: Any) -> dict[str, torch.Tensor]:
    """Return a batch of texts of typical length: those from the median up."""
    order = np.argsort(train.lengths, kind="stable")[len(train) // 2 :][:rows]
    return {name: tensor.to(device) for name, tensor in collate([train[index] for index in order]).items()}


def longest(collate: Collate, train: TokenisedTexts, rows: int) -> dict[str, torch.Tensor]:
    """Return the batch that takes the most memory: as many texts as the longest, each as long as it."""
    return collate([train[int(train.lengths.argmax())]] * rows)


def tokens_that_fit(model: Any, batch: dict[str, torch.Tensor], precision: str) -> int:
    """Return how many tokens the GPU's memory has room for at once; 0: all of the batch.

    What the training adds later is held free meanwhile: the optimizer's two numbers for each weight, with
    several ranks a copy of the gradients, and a reserve. Better now than after hours, with the longest batch.

    Raises:
        StepError: not even one text fits.
    """
    device, was_training = model.device, model.training
    rows, length = batch["input_ids"].shape
    fitting = rows
    model.train()
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):  # dropout must not shift the training's numbers
        while fitting and not _fits(model, {name: part[:fitting] for name, part in batch.items()}, precision):
            fitting //= 2
    model.train(was_training)
    if not fitting:
        raise StepError(
            f"the GPU has too little memory for one text of {length} tokens: lower max_length, or take a "
            "larger instance"
        )
    return 0 if fitting == rows else fitting * length


def _fits(model: Any, batch: dict[str, torch.Tensor], precision: str) -> bool:
    device, kind = model.device, TYPES.get(precision)
    weights = sum(parameter.numel() for parameter in model.parameters())
    held = []
    try:
        for size in (4 * weights * (3 if RANKS > 1 else 2), _reserve(device)):
            held.append(torch.empty(size, dtype=torch.uint8, device=device))
        with torch.autocast(device.type, dtype=kind or torch.bfloat16, enabled=kind is not None):
            loss = model(**{name: tensor.to(device) for name, tensor in batch.items()}).loss
        loss.backward()
    except torch.OutOfMemoryError:
        return False
    finally:
        held.clear()
        model.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    return True


def _reserve(device: torch.device) -> int:
    if device.type != "cuda":
        return 0
    return int(RESERVE * torch.cuda.get_device_properties(device).total_memory)


def choose_precision(wanted: str, model: Any, batch: dict[str, torch.Tensor], steps: int) -> tuple[str, str]:
    """Return ``fp32``, ``bf16`` or ``fp16`` and the reason in a few words.

    On CUDA ``auto`` asks for the capability. On a CPU it measures: some have instructions for bf16 (twice as
    fast or more), others imitate it (several times slower), and no flag tells how a given model fares.

    Args:
        wanted: ``auto`` or one of the three.
        model: on the device that it will train on; unchanged afterwards.
        batch: a padded batch of typical length, with ``labels``.
        steps: of the whole training; a short one is not worth a measurement.

    Raises:
        StepError: the format that is asked for does not work on this machine.
    """
    cuda = model.device.type == "cuda"
    native_bf16 = cuda and torch.cuda.get_device_capability(model.device) >= (8, 0)
    if wanted == "bf16" and cuda and not native_bf16:
        raise StepError(
            f"precision bf16: {torch.cuda.get_device_name()} has no bf16; choose auto, fp16 or fp32"
        )
    if wanted == "fp16" and not cuda:
        raise StepError("precision fp16: needs a CUDA GPU, this machine has none; choose auto, bf16 or fp32")
    if wanted != "auto":
        return wanted, "as asked"
    if cuda:
        return ("bf16" if native_bf16 else "fp16"), torch.cuda.get_device_name()
    if steps < 50:
        return "fp32", "too short a training to measure bf16"
    rows = max(1, TOKENS // batch["input_ids"].shape[1])
    few = {name: tensor[:rows] for name, tensor in batch.items()}
    fp32, bf16 = _measure(model, few)
    words = f"bf16 measured {fp32 / bf16:.1f} times as fast as fp32 on this CPU"
    return ("bf16" if fp32 / bf16 >= GAIN else "fp32"), words


def _measure(model: Any, batch: dict[str, torch.Tensor]) -> tuple[float, float]:
    """Return seconds of a forward and backward pass in fp32 and in bf16, each the best of some rounds.

    Processor time of a single thread: wall time of many depends on what else the machine is doing.
    """
    seconds: dict[bool, list[float]] = {False: [], True: []}
    was_training, threads = model.training, torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):  # dropout must not shift the random numbers of the training
        model.train()
        for _ in range(1 + ROUNDS):
            for bf16 in seconds:
                start = time.process_time()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                    loss = model(**batch).loss
                loss.backward()
                seconds[bf16].append(time.process_time() - start)
            if len(seconds[True]) > 1 and sum(map(sum, seconds.values())) > PATIENCE:
                break
    torch.set_num_threads(threads)
    model.train(was_training)
    model.zero_grad(set_to_none=True)
    return min(seconds[False][1:]), min(seconds[True][1:])  # the first of each warms up


def start_process_group() -> None:
    """Let the ranks find each other: asking for the device does it, here earlier than the Trainer would."""
    _ = transformers.TrainingArguments(use_cpu=not torch.cuda.is_available(), report_to="none").device


def part() -> None:
    """Let the ranks part, once each has done its work.

    What exchanges tensors has threads of its own: one that still runs when Python ends takes the process with
    it (SIGABRT), and a training whose model is written has failed.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def once_a_machine(make: Callable[[], list[TokenisedTexts]]) -> list[TokenisedTexts]:
    """Return sets that the first rank of each machine makes; the others map its files into their memory.

    Tokenising uses all cores, so that several ranks at it take no less time but as much more work; and
    mapped, the sets are in a machine's memory once.
    """
    if RANKS == 1:
        return make()
    start_process_group()
    with tempfile.TemporaryDirectory(prefix="tokens-") as own:
        if LOCAL_RANK == 0:
            for number, texts in enumerate(make()):
                texts.save(Path(own, str(number)))
        folders = [""] * RANKS
        torch.distributed.all_gather_object(folders, own)  # which waits until all is written
        place = Path(folders[RANK - LOCAL_RANK])
        sets = [TokenisedTexts.load(folder) for folder in sorted(place.iterdir())]
        torch.distributed.barrier()  # nothing is removed before all have it mapped
    return sets
