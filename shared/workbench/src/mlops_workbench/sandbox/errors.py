"""The errors that several parts of the sandbox raise and catch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

#: The container ended with a non-zero exit code, or the service would have called it a client's error.
JOB_INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"
#: The sandbox itself could not run the job (no such image, no Python environment).
RESOURCE_LIMIT = "SageMaker.RESOURCE_LIMIT"


class SandboxError(Exception):
    """The sandbox cannot be used as asked; the message is one line."""


class AccessDenied(Exception):
    """A principal may not do what it asked for; the message is the one that AWS gives."""


class PolicyError(AccessDenied):
    """A policy document that IAM would not accept: what it would say is not known, so it allows nothing."""


class JobFailed(Exception):
    """A job that ended without success.

    Attributes:
        reason: one line (or the container's own message) that a person can act on; Describe*Job's
            FailureReason.
        exit_code: of the container's main process; None when it never ran.
        last_lines: the last lines of the job's log, oldest first.
        kind: the exception type as retry policies name it, e.g. ``SageMaker.JOB_INTERNAL_ERROR``.
    """

    def __init__(
        self,
        reason: str,
        *,
        exit_code: int | None = None,
        last_lines: Sequence[str] = (),
        kind: str = JOB_INTERNAL_ERROR,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exit_code = exit_code
        self.last_lines = list(last_lines)
        self.kind = kind


class JobStopped(Exception):
    """A job that was stopped on request, through ``JobContext.stop``."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the nearest known name, the list of names if short, else ""."""
    names = sorted(set(known))
    close = get_close_matches(name, names, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    if 0 < len(names) <= 12:
        return "; known: " + ", ".join(names)
    return ""
