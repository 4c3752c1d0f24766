"""Good enough? Thresholds on the test set's figures, and how much worse than the live model is acceptable.

Either ends in one line that says which figure missed what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from evaluation.metrics import gain

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


class Verdict(NamedTuple):
    """What the declared margin says: worse_by is what the pipeline's condition reads, at most the margin."""

    worse_by: float
    passed: bool
    message: str


def verdict(comparison: Mapping[str, Any], limit: tuple[str, float] | None) -> Verdict:
    """Judge a comparison by ``comparison.not_worse_by`` of config/model.yaml.

    The point estimates are compared: with some hundreds of test rows the interval of a difference is several
    points wide, and a margin on its lower end would let nothing through.

    Args:
        comparison: of ``compare`` or ``nothing``.
        limit: metric and margin; None: nothing is declared.
    """
    if limit is None:
        return Verdict(0.0, True, "")
    metric, margin = limit
    name = "comparison.not_worse_by"
    if comparison["status"] == "none":
        return Verdict(0.0, True, f"{name} has nothing to compare with: no version is approved yet")
    if comparison["status"] != "compared":
        return Verdict(
            1.0, False, f"{name} is {margin:g}, but {comparison.get('note', comparison['status'])}"
        )
    version = comparison["live"]["version"]
    if not comparison["fair"]:
        message = f"{name} was not applied: the live model (version {version}) was trained on these test rows"
        return Verdict(0.0, True, message)
    losses = []
    for target, content in comparison["targets"].items():
        chosen = metric if metric in content["figures"] else "exact_match"
        figure = content["figures"][chosen]
        losses.append((round(-gain(chosen, figure["candidate"] - figure["live"]), 6), target, chosen, figure))
    worse, target, chosen, figure = max(losses, key=lambda loss: loss[0])
    where = f"{target}: " if len(losses) > 1 else ""
    figures = f"{where}{chosen} {figure['candidate']:.4f}, live {figure['live']:.4f} (version {version})"
    if worse <= margin:
        return Verdict(max(0.0, worse), True, f"{figures}: not worse by more than {margin:g}")
    return Verdict(worse, False, f"{figures}: worse by {worse:.4f}, more than {name} {margin:g}")


def judged(content: Mapping[str, Any], comparison: Mapping[str, Any], found: Verdict) -> dict[str, Any]:
    """Return evaluation.json's content with the comparison, and with the verdict in its gate.

    Args:
        content: of evaluation.json so far, with the ``gate`` of the thresholds.
        comparison: without texts.
        found: of ``verdict``.
    """
    gate = content["gate"]
    if gate["passed"] and not found.passed:
        message = found.message  # "all thresholds are met" would only distract
    else:
        message = "; ".join(filter(None, [gate["message"], found.message]))
    return {
        **content,
        "gate": {
            **gate,
            "passed": gate["passed"] and found.passed,
            "message": message,
            "worse_than_live_by": found.worse_by,
        },
        "comparison": dict(comparison),
    }
