"""What a served model is asked, and the figures of its answers; for the server's process or a client's.

`Ask` sends one request's body, JSON, and returns the answer's. The standard library only.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Ask = Callable[[bytes], bytes]

SHORT = "Where is the card that I ordered last week?"
MANY = 100
"""Texts in a request, where many travel together."""


def body(inputs: str | Sequence[str]) -> bytes:
    """The body of a request, as both handlers read it."""
    return json.dumps({"inputs": inputs}).encode()


def labels(answer: bytes) -> list[str]:
    """The label of each text; one text is answered with a list of one."""
    return [each["label"] for each in json.loads(answer)]


def first(ask: Ask) -> None:
    """The first answer of a process."""
    assert len(labels(ask(body(SHORT)))) == 1


def warm(ask: Ask, requests: int) -> dict[str, float]:
    """Milliseconds that one short text takes, again and again."""
    taken = []
    for _ in range(requests):
        began = time.perf_counter()
        ask(body(SHORT))
        taken.append(1000 * (time.perf_counter() - began))
    return {"one short text, median, ms": statistics.median(taken), "one short text, p95, ms": p95(taken)}


def throughput(ask: Ask, texts: Sequence[str], singles: int) -> dict[str, float]:
    """Texts a second: a hundred a request, and one a request, for which fewer texts are enough."""
    began = time.perf_counter()
    for start in range(0, len(texts), MANY):
        ask(body(texts[start : start + MANY]))
    together = len(texts) / (time.perf_counter() - began)
    some = texts[:: max(1, len(texts) // singles)][:singles]
    began = time.perf_counter()
    for text in some:
        ask(body(text))
    alone = len(some) / (time.perf_counter() - began)
    return {f"{MANY} texts a request, texts/s": together, "one text a request, texts/s": alone}


def answered(ask: Ask, texts: Sequence[str]) -> list[str]:
    """The label of each text."""
    return [
        label
        for start in range(0, len(texts), MANY)
        for label in labels(ask(body(texts[start : start + MANY])))
    ]


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 are not above."""
    return sorted(values)[max(0, -(-95 * len(values) // 100) - 1)]


def memory(pids: Sequence[int]) -> float:
    """MB in RAM of some processes, pages that they share counted once (PSS); Linux."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1000


def processor(pid: int) -> float:
    """Seconds of processor time that a process has taken, with its ended children; Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def figures(ask: Ask, job: dict[str, Any]) -> dict[str, float]:
    """Everything that is measured once the first answer is there."""
    return {**warm(ask, job["requests"]), **throughput(ask, job["texts"], job["singles"])}
