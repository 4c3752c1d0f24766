"""The three kinds of jobs, and what their calls name differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["processing", "training", "transform"]


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    Attributes:
        noun: as calls and keys carry it, e.g. ``ProcessingJob``.
        arn_type: e.g. ``processing-job``.
        attribute: moto's dictionary of these jobs on its backend.
        start, end: the keys of the times in a description.
        order: List*'s default SortOrder, from the API reference.
        summary: the keys of a list's entries.
    """

    noun: str
    arn_type: str
    attribute: str
    start: str
    end: str
    order: str
    summary: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the key of the job's name."""
        return f"{self.noun}Name"

    @property
    def arn(self) -> str:
        """Return the key of the job's ARN."""
        return f"{self.noun}Arn"

    @property
    def status(self) -> str:
        """Return the key of the job's status."""
        return f"{self.noun}Status"


def _kind(word: str, order: str, *more: str) -> JobKind:
    noun = f"{word.title()}Job"
    end = f"{word.title()}EndTime"
    common = (f"{noun}Name", f"{noun}Arn", f"{noun}Status", "CreationTime", end, "LastModifiedTime")
    return JobKind(
        noun, f"{word}-job", f"{word}_jobs", f"{word.title()}StartTime", end, order, (*common, *more)
    )


KINDS: dict[Kind, JobKind] = {
    "processing": _kind("processing", "Ascending", "FailureReason", "ExitMessage"),
    "training": _kind("training", "Ascending", "SecondaryStatus"),
    "transform": _kind("transform", "Descending", "FailureReason"),
}
