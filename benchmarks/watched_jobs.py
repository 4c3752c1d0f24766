"""What a job of the sandbox does while it runs, and what it has answered. Linux only: it reads /proc."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVERS = ("serve.py", "model_service_worker")
"""What the command line of a process has that holds a model: the sandbox's own server, and Java's workers."""
LOADED = "loaded io_fd"
"""What multi-model-server writes into its log when a worker has loaded the model."""


@dataclass
class Seen:
    """What was seen of a job's processes while it ran; memory in MB."""

    peaks: dict[int, float] = field(default_factory=dict)
    own: float = 0.0
    served: float | None = None
    """When its server was there, on the clock of time.perf_counter."""

    def line(self, job: str, text: str) -> None:
        """Take a line of the job's log: Java's server is there before its workers have loaded the model."""
        if LOADED in text:
            self.served = time.perf_counter()


@contextmanager
def watched(folder: Path, seen: Seen) -> Iterator[None]:
    """Watch this process and the model servers among its descendants while the block runs.

    Args:
        folder: of a job: a server is there when it has written its port into it.
        seen: where it is put down.
    """
    begin, over = memory(os.getpid(), "VmRSS"), threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            if seen.served is None and any(folder.glob("algo-*/port")):
                seen.served = time.perf_counter()
            seen.own = max(seen.own, memory(os.getpid(), "VmRSS") - begin)
            for pid in descendants(os.getpid()):
                if holds_model(pid):
                    seen.peaks[pid] = max(seen.peaks.get(pid, 0.0), memory(pid, "VmHWM"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def descendants(pid: int) -> set[int]:
    """A process's children, and theirs: others of this machine may serve models, too."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            status = _read(path / "stat")
            if status:  # the name, in brackets, may hold anything
                children.setdefault(int(status.rpartition(")")[2].split()[1]), []).append(int(path.name))
    found: set[int] = set()
    left = [pid]
    while left:
        new = children.get(left.pop(), [])
        found.update(new)
        left += new
    return found


def holds_model(pid: int) -> bool:
    """Whether it is a process that has loaded a model, and not one that only started it."""
    words = _read(Path(f"/proc/{pid}/cmdline")).split("\0")
    program = " ".join(words[:3])
    return any(name in program for name in SERVERS) and "supervisor.py" not in program


def memory(pid: int, key: str) -> float:
    """A figure of /proc/PID/status in MB: VmRSS, in RAM now; VmHWM, at most so far. 0 when it has ended."""
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""


def answered(path: Path) -> list[dict[str, Any]]:
    """The best label of each text, ``{"label", "score"}``, whatever the form of the answers.

    With ids and a line each, as ours are; or a list after the other, as the toolkit's handler writes them.
    """
    text, at, found = path.read_text(encoding="utf-8"), 0, []
    decode = json.JSONDecoder().raw_decode
    while at < len(text):
        value, at = decode(text, at)
        value = value["SageMakerOutput"] if isinstance(value, dict) else value
        found.append(value[0])
        while at < len(text) and text[at].isspace():
            at += 1
    return found
