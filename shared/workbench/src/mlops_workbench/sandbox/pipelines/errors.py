"""How a definition can be wrong, and how a step can end without success."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a definition, its parameters or a step's request.

    Attributes:
        where: what it concerns, e.g. ``step 'Train': Arguments.HyperParameters.epochs``.
        message: what was expected, what was found and what to do, in one line.
    """

    where: str
    message: str

    def __str__(self) -> str:
        """Return the problem as one line."""
        return f"{self.where}: {self.message}" if self.where else self.message


class DefinitionError(ValueError):
    """A definition or its parameters cannot be run; carries every problem found, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Join the problems into one message, a line each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ExpressionError(ValueError):
    """An expression has no value; the message is one line."""


class StepFailed(Exception):
    """A step that ended without success.

    Attributes:
        reason: the step's FailureReason.
        kind: the exception type as retry policies name it, e.g. ``SageMaker.JOB_INTERNAL_ERROR``; "" if none.
        last_lines: of the job's log, oldest first.
    """

    def __init__(self, reason: str, *, kind: str = "", last_lines: Sequence[str] = ()) -> None:
        """See the attributes."""
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.last_lines = list(last_lines)


class StepStopped(Exception):
    """A step that ended because its execution was stopped."""
