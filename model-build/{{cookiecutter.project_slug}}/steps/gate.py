"""The quality gate: thresholds on the test set's figures, and one line that says which were missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["at_least", "at_most"]


@dataclass(frozen=True)
class Threshold:
    """A bound on one metric."""

    metric: str
    kind: Kind
    bound: float


@dataclass(frozen=True)
class Check:
    """A threshold and how the model did."""

    metric: str
    kind: Kind
    bound: float
    value: float
    passed: bool


def apply_thresholds(thresholds: Sequence[Threshold], values: Mapping[str, float]) -> list[Check]:
    """Compare each figure with its bound; a figure that equals its bound passes."""
    checks = []
    for threshold in thresholds:
        value = values[threshold.metric]
        passed = value >= threshold.bound if threshold.kind == "at_least" else value <= threshold.bound
        checks.append(Check(threshold.metric, threshold.kind, threshold.bound, value, passed))
    return checks


def gate_message(checks: Sequence[Check]) -> str:
    """Return one line that names every missed figure, such as ``accuracy 0.61 is below 0.70; macro_f1 …``."""
    missed = [check for check in checks if not check.passed]
    if missed:
        return "; ".join(map(_miss, missed))
    if not checks:
        return "no threshold is set"
    return f"all {len(checks)} thresholds are met" if len(checks) > 1 else "the threshold is met"


def _miss(check: Check) -> str:
    """Say how a figure missed its bound, in enough digits to tell them apart: never "0.70 is below 0.70"."""
    side = "below" if check.kind == "at_least" else "above"
    for digits in range(2, 16):
        value, bound = f"{check.value:.{digits}f}", f"{check.bound:.{digits}f}"
        if value != bound and float(bound) == check.bound:
            return f"{check.metric} {value} is {side} {bound}"
    return f"{check.metric} {check.value!r} is {side} {check.bound!r}"
