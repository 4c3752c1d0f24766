"""Which number format to train in: the fastest that this machine does well."""

from __future__ import annotations

import time
from typing import Any

import torch

from failure import StepError

GAIN = 1.2
"""How much faster bf16 must be on a CPU to be taken; below that, fp32 is the safer choice."""

TOKENS = 512
"""How much of the batch is timed. A few short texts tell nothing: 8 of 13 tokens are as slow in bf16 as in
fp32, which hides that a batch of 32 is 1.7 times as fast."""

ROUNDS = 2
"""Passes that are timed, after one to warm up."""

PATIENCE = 10
"""Seconds after which a large model is measured no further."""


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
