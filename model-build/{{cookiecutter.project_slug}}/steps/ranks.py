"""What the ranks of a training do for each other before the Trainer brings them together."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from batches import TokenisedTexts
from progress import RANK, RANKS

LOCAL_RANK = int(os.environ.get("LOCAL_RANK", "0"))


def start_process_group() -> None:
    """Let the ranks find each other: asking for the device does it, here earlier than the Trainer would."""
    _ = transformers.TrainingArguments(use_cpu=not torch.cuda.is_available(), report_to="none").device


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
