"""What is measured on the machine when a training first begins, and then kept with its checkpoints.

A restart, perhaps on a busier machine, must not measure something else: it would end with another model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from batches import TokenisedTexts
from failure import StepError
from precision import choose_precision
from progress import RANK, RANKS, say
from ranks import start_process_group
from train_settings import Settings

RESERVE = 0.05
"""Share of the GPU's memory that is left free: for libraries, and for memory in pieces."""

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Collate = Callable[..., dict[str, torch.Tensor]]


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
