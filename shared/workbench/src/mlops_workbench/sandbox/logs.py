"""Reading the logs of jobs, ``jobs/<name>/log.txt``, while they are written and afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def job_name(step: Mapping[str, Any]) -> str:
    """Return the job of a step, as ListPipelineExecutionSteps describes the step, or "" if it has none."""
    for kind in ("ProcessingJob", "TrainingJob", "TransformJob"):
        arn = (step.get("Metadata") or {}).get(kind, {}).get("Arn", "")
        if arn:
            return str(arn).rsplit("/", 1)[-1]
    return ""


def log_file(jobs_folder: Path, step: Mapping[str, Any]) -> Path | None:
    """Return the log of a step's job, or None if it has no job or the job no log."""
    name = job_name(step)
    path = jobs_folder / name / "log.txt"
    return path if name and path.is_file() else None


def last_lines(path: Path, count: int = 20) -> list[str]:
    """Return the last lines of a log."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        return [line.rstrip("\n") for line in deque(lines, count)]


class Tail:
    """Returns what was added to log files since the last time, in whole lines."""

    def __init__(self) -> None:
        """Start at the beginning of every file."""
        self._positions: dict[Path, int] = {}

    def new_lines(self, path: Path, *, final: bool = False) -> list[str]:
        """Return a file's new lines; with ``final`` also a last one that has no end yet."""
        with path.open("rb") as log:
            log.seek(self._positions.get(path, 0))
            block = log.read()
        if not final:
            # A line that is still being written, or half of a character, waits for the next time.
            block = block[: block.rfind(b"\n") + 1]
        self._positions[path] = self._positions.get(path, 0) + len(block)
        return block.decode("utf-8", errors="replace").splitlines()
