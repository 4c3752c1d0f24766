"""Following what the pipeline makes of uploads, one line for each change, until all have ended."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from .config import Settings
from .executions import SUCCEEDED, UNDER_WAY, Execution, Executions, Step
from .objects import Uploaded

Say = Callable[[str], None]
Wait = Callable[[float], None]

PATIENCE = 180.0  # seconds until an execution must have started; EventBridge takes a few
SHORTEST, LONGEST = 1.0, 5.0  # seconds between two looks: soon after a change, then less often
SILENCE = 30.0  # seconds without a change after which a step is said to run still


class Outcome(NamedTuple):
    """How it ended with an upload.

    Attributes:
        upload: the upload.
        execution: what it started; None if nothing has started.
        problem: why there are no answers; "" if there are.
    """

    upload: Uploaded
    execution: Execution | None
    problem: str


class Follower:
    """Follows one upload.

    Args:
        upload: what is followed.
        name: what its lines begin with; "" when it is the only one.
        say: where lines go.
    """

    def __init__(self, upload: Uploaded, name: str, say: Say) -> None:
        self.upload = upload
        self.execution: Execution | None = None
        self.outcome: Outcome | None = None
        self._prefix = f"{name}  " if name else ""
        self._say = say
        self._said: dict[str, str] = {}
        self._quiet_since = 0.0

    def found(self, execution: Execution, elapsed: float) -> None:
        """It has started."""
        self.execution = execution
        self._line(elapsed, f"execution {execution.id} has started")

    def saw(self, execution: Execution, steps: Sequence[Step], elapsed: float) -> None:
        """Says what has changed since the last time; ends when the execution has."""
        for step in steps:
            if self._said.get(step.name) == step.status or step.status == "Starting":
                continue
            if step.name not in self._said and step.ended is None:
                self._line(elapsed, f"{step.title} …")
            elif step.ended is not None:
                self._line(elapsed, _ended(step))
            self._said[step.name] = step.status
        running = [(step.title, step.started) for step in steps if step.ended is None and step.started]
        if running and elapsed - self._quiet_since >= SILENCE:
            title, started = running[-1]
            took = (datetime.now(UTC) - started).total_seconds()
            self._line(elapsed, f"{title} … for {duration(took)} so far")
        if execution.status not in UNDER_WAY:
            problem = "" if execution.status == SUCCEEDED else _problem(execution, steps)
            self.outcome = Outcome(self.upload, execution, problem)

    def gave_up(self, advice: str) -> None:
        """Nothing has started."""
        self.outcome = Outcome(self.upload, None, advice)

    def _line(self, elapsed: float, words: str) -> None:
        self._quiet_since = elapsed
        self._say(f"  {_clock(elapsed):>6}  {self._prefix}{words}")


def follow(
    executions: Executions,
    uploads: Sequence[tuple[Uploaded, str]],
    advice: str,
    say: Say,
    wait: Wait = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """Follows uploads until each has ended, or has not started for `PATIENCE` seconds.

    Args:
        executions: of the pipeline.
        uploads: with the names that their lines begin with.
        advice: where to look when nothing starts.
        say: where lines go.
        wait: between two looks, some seconds.
        clock: seconds.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    begin, pause, said = clock(), SHORTEST, 0

    def counting(line: str) -> None:
        nonlocal said
        said += 1
        say(line)

    followers = [Follower(upload, name, counting) for upload, name in uploads]
    while True:
        before = said
        waiting = [each for each in followers if each.execution is None and each.outcome is None]
        started = executions.started_by(each.upload for each in waiting)
        for each in waiting:
            if each.upload in started:
                each.found(started[each.upload], clock() - begin)
            elif clock() - begin > PATIENCE:
                each.gave_up(advice)
        for each in followers:
            if each.execution is not None and each.outcome is None:
                execution, steps = executions.now(each.execution)
                each.saw(execution, steps, clock() - begin)
        outcomes = [each.outcome for each in followers if each.outcome is not None]
        if len(outcomes) == len(followers):
            return outcomes
        pause = SHORTEST if said > before else min(pause * 1.5, LONGEST)
        wait(pause)


def where_to_look(settings: Settings, environment: str) -> str:
    """What to do when an upload has started nothing."""
    slug = settings.project.slug
    return (
        f"nothing has started for {PATIENCE / 60:.0f} minutes. Look at the EventBridge rule "
        f"{slug}-input-{environment} (is it enabled, does it see the file?), and at the queue "
        f"{slug}-undelivered-{environment}, which holds what the rule could not deliver"
    )


def duration(seconds: float) -> str:
    """A time as people say it: `8 s`, `3 min 05 s`, `2 h 04 min`."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _ended(step: Step) -> str:
    took = (step.ended - step.started).total_seconds() if step.ended and step.started else 0.0
    words = "done" if step.status == SUCCEEDED else step.status.lower()
    return f"{step.title}: {words} in {duration(took)}"


def _problem(execution: Execution, steps: Sequence[Step]) -> str:
    failed = [
        f"step {step.name} failed: {step.reason or 'no reason given'}"
        for step in steps
        if step.status == "Failed"
    ]
    return "; ".join(failed) or f"execution {execution.id} {execution.status.lower()}: {execution.reason}"


def _clock(elapsed: float) -> str:
    minutes, seconds = divmod(int(elapsed), 60)
    return f"{minutes}:{seconds:02d}"
