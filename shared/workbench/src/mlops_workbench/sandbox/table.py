"""Showing a running pipeline: a live table on a terminal, appended lines elsewhere (CI, a file, a pipe)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

#: Characters of a table that does not go to a terminal.
PLAIN_WIDTH = 240

_COLOURS = {
    "Succeeded": "green",
    "Failed": "red",
    "Stopped": "yellow",
    "Stopping": "yellow",
    "Executing": "cyan",
    "Starting": "cyan",
}


@dataclass(frozen=True)
class Snapshot:
    """An execution at one moment.

    Attributes:
        status: of the execution.
        failure_reason: of the execution, or "".
        steps: as ListPipelineExecutionSteps gives them, the first one first.
        waiting: names of the steps that have not begun.
    """

    status: str
    failure_reason: str
    steps: Sequence[dict[str, Any]]
    waiting: Sequence[str] = ()


class View(Protocol):
    """Where the progress of an execution is shown."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state and leave it there."""

    def update(self, snapshot: Snapshot, lines: Sequence[tuple[str, str]] = ()) -> None:
        """Show a new state, and the lines that jobs have printed since the last one: (step, text)."""

    def notice(self, text: str) -> None:
        """Show a line that is about the execution as a whole."""


def make_console() -> Console:
    """Return standard output: as wide as the terminal, or wide enough for an ARN where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def make_view(console: Console | None = None) -> View:
    """Return the view that fits the output."""
    console = console or make_console()
    return LiveView(console) if console.is_terminal else PlainView(console)


def duration(step: dict[str, Any], now: datetime | None = None) -> str:
    """Return how long a step took, or has taken so far: ``0.4 s``, ``12 s``, ``3 min 05 s``."""
    begin, end = step.get("StartTime"), step.get("EndTime") or now or datetime.now(UTC)
    if begin is None:
        return ""
    seconds = max(0.0, (end - begin).total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def detail(step: dict[str, Any]) -> str:
    """Return what else there is to say about a step, in a few words."""
    if step.get("CacheHitResult"):
        source = str(step["CacheHitResult"]["SourcePipelineExecutionArn"])
        return f"taken from execution {source.rsplit('/', 1)[-1]}"
    if step.get("FailureReason"):
        return str(step["FailureReason"]).splitlines()[0]
    metadata: dict[str, Any] = step.get("Metadata") or {}
    if "Condition" in metadata:
        return f"{metadata['Condition'].get('Outcome')}"
    if "RegisterModel" in metadata:
        return str(metadata["RegisterModel"].get("Arn", ""))
    if step.get("AttemptCount", 0) > 1:
        return f"attempt {step['AttemptCount']}"
    return ""


def steps_table(snapshot: Snapshot) -> Table:
    """Return the steps with their status, duration and detail."""
    table = Table(box=None, pad_edge=False, title=None, header_style="bold")
    table.add_column("Step", no_wrap=True)
    table.add_column("Status", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    table.add_column("")
    for step in snapshot.steps:
        status = step.get("StepStatus", "")
        table.add_row(
            Text(step["StepName"]),
            Text(status, style=_COLOURS.get(status, "")),
            duration(step),
            Text(detail(step), overflow="ellipsis", no_wrap=True, style="dim"),
        )
    over = snapshot.status not in ("Executing", "Stopping")
    for name in snapshot.waiting:
        table.add_row(Text(name, style="dim"), Text("not run" if over else "waiting", style="dim"), "", "")
    return table


class LiveView:
    """A table at the bottom of the terminal, job lines above it."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet."""
        self._snapshot = Snapshot("Executing", "", ())
        # A callable, so that the running durations move on between two states.
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=4, vertical_overflow="ellipsis"
        )

    def _render(self) -> RenderableType:
        return steps_table(self._snapshot)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw the last state and leave it."""
        self._live.stop()

    def update(self, snapshot: Snapshot, lines: Sequence[tuple[str, str]] = ()) -> None:
        """Print the lines above the table and draw the new state."""
        self._snapshot = snapshot
        for step, text in lines:
            self._live.console.print(Text(f"[{step}] ", style="blue").append(text, "default"), soft_wrap=True)
        self._live.refresh()

    def notice(self, text: str) -> None:
        """Print a line above the table."""
        self._live.console.print(Text(text, style="bold"), soft_wrap=True)


class PlainView:
    """A line for each change, nothing redrawn; the table comes at the end."""

    def __init__(self, console: Console) -> None:
        """Show nothing yet."""
        self._console = console
        self._seen: dict[str, tuple[str, int, bool]] = {}
        self._snapshot: Snapshot | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print the table."""
        if self._snapshot:
            self._console.print(steps_table(self._snapshot))

    def update(self, snapshot: Snapshot, lines: Sequence[tuple[str, str]] = ()) -> None:
        """Print what has changed: the steps that began, the lines, then the steps that ended."""
        self._snapshot = snapshot
        for step in snapshot.steps:
            if not step.get("CacheHitResult") and step.get("StepStatus") != "Starting":
                self._announce(step, "Executing" if step.get("EndTime") else step["StepStatus"], ended=False)
        for name, text in lines:
            self.notice(f"[{name}] {text}")
        for step in snapshot.steps:
            if step.get("EndTime"):
                self._announce(step, step["StepStatus"], ended=True)

    def _announce(self, step: dict[str, Any], status: str, *, ended: bool) -> None:
        name, state = step["StepName"], (status, step.get("AttemptCount", 0), ended)
        before = self._seen.get(name)
        if before == state or (before and before[2]):
            return
        self._seen[name] = state
        parts = [status, duration(step), detail(step)] if ended else [status]
        if not ended and step.get("AttemptCount", 0) > 1:
            parts.append(f"attempt {step['AttemptCount']}")
        self.notice(f"{time.strftime('%H:%M:%S')} {name}: {'  '.join(part for part in parts if part)}")

    def notice(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(text), soft_wrap=True)
        # A CI server shows what was flushed.
        self._console.file.flush()
