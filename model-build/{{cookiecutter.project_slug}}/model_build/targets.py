"""What the model answers, how good each answer has to be, and which answers a person is to review."""

from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from configuration.files import Section
from evaluation.metrics import GateMetric

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_Separator = Annotated[str, StringConstraints(min_length=1, max_length=8)]


class TargetColumn(Section):
    """Where one target's labels are."""

    column: _Text
    """The column."""
    several: bool = False
    """whether a text may have any number of labels, also none; else it has exactly one"""
    separator: _Separator | None = None
    """what stands between the labels of one text; ; if not said"""

    @model_validator(mode="after")
    def _separator_of_several(self) -> Self:
        if self.separator is not None and not self.several:
            raise ValueError(
                f"separator: expected only with several: true, got {self.separator!r}; "
                "remove it, or say several: true"
            )
        return self

    @property
    def between(self) -> str | None:
        """What separates the labels of one text; None where there is exactly one."""
        return (self.separator or ";") if self.several else None


class Threshold(Section):
    """One bound on a metric."""

    at_least: float | None = None
    """The smallest value that is good enough."""
    at_most: float | None = None
    """The largest one."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("one of at_least or at_most")
        return self


Thresholds = Annotated[dict[GateMetric, Threshold], Field(min_length=1)]


def _form(acceptance: Any) -> str:
    """Whether thresholds are given for the one target, or for each of several."""
    inner = acceptance.values() if isinstance(acceptance, dict) else ()
    bounds = [bound for each in inner if isinstance(each, dict) for bound in each.values()]
    deeper = any(isinstance(bound, dict | Threshold) for bound in bounds)  # as written, or as read
    return "[of each target]" if deeper else "[of the target]"


# The tags are part of an error's place, where configuration/files.py leaves out what is in brackets.
Acceptance = Annotated[
    Annotated[Thresholds, Tag("[of the target]")]
    | Annotated[dict[Name, Thresholds], Tag("[of each target]")],
    Discriminator(_form),
]

Precision = Annotated[float, Field(gt=0, lt=1)]


class TargetTriage(Section):
    """How often an answer of this target that needs no review has to be right."""

    precision: Precision
    """Share of right answers among those that need no review."""


class Triage(Section):
    """Which answers a person is to review: those that are not as sure as they have to be."""

    precision: Precision | None = None
    """share of right answers among those of a label that need no review; of all targets"""
    targets: dict[Name, TargetTriage] = {}
    """another precision for some targets"""

    def of(self, target: str) -> float | None:
        """The precision that holds for a target; None: all its answers are as they are."""
        return self.targets[target].precision if target in self.targets else self.precision

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.precision is None and not self.targets:
            raise ValueError("precision: expected a number between 0 and 1, such as 0.95, found none")
        return self


def check_names(key: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a target that there is not.

    Raises:
        ValueError: the message begins with the key.
    """
    for name in given:
        if name not in known:
            raise ValueError(f"{key}.{name}: expected a target of data ({', '.join(known)}), got {name!r}")
