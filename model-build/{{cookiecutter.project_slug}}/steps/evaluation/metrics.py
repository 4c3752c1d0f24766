"""The metrics, in one table that everything reads, and the gate: is a model good enough by them?

Steps, report, configuration and training job read the table. A new metric is a line here, and one in
scores.py that computes it. The gate has thresholds on the test set's figures, and how much worse than the
live model is acceptable; either ends in one line that says which figure missed what.

Standard library only: the pipeline imports this where there is neither NumPy nor PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

Use = Literal["gate", "headline", "log", "comparison", "margin"]
"""Where a metric is used, beside the table of all figures and evaluation.json.

``gate``: config/model.yaml may have a threshold on it; ``headline``: large on the report; ``log``: a line in
the log of the evaluation; ``comparison``: shown beside the live model's (paired.py computes it); ``margin``:
``comparison.not_worse_by`` may be about it.
"""

Bound = Literal["at_least", "at_most"]
"""What a threshold says."""


class Metric(NamedTuple):
    """A figure of the test set.

    Attributes:
        name: in configuration, evaluation.json and logs.
        label: what people call it.
        one: where it is used for a target whose texts have one label each; None: it is not computed.
        several: the same for a target whose texts may have any number of labels.
        better: which values are good.
    """

    name: str
    label: str
    one: tuple[Use, ...] | None
    several: tuple[Use, ...] | None
    better: Literal["higher", "lower"] = "higher"


METRICS = (
    Metric("accuracy", "Accuracy", ("gate", "headline", "log", "comparison", "margin"), None),
    Metric("micro_precision", "Micro precision", None, ()),
    Metric("micro_recall", "Micro recall", None, ()),
    Metric("micro_f1", "Micro F1", None, ("gate", "headline", "log", "comparison")),
    Metric("macro_precision", "Macro precision", (), ()),
    Metric("macro_recall", "Macro recall", (), ()),
    Metric(
        "macro_f1",
        "Macro F1",
        ("gate", "headline", "log", "comparison", "margin"),
        ("gate", "headline", "log", "comparison"),
    ),
    Metric("weighted_precision", "Weighted precision", (), None),
    Metric("weighted_recall", "Weighted recall", (), None),
    Metric("weighted_f0_5", "Weighted F0.5", (), None),
    Metric("weighted_f1", "Weighted F1", ("gate", "headline"), ("gate",)),
    Metric("weighted_f2", "Weighted F2", (), None),
    Metric("exact_match", "Exact match", None, ("gate", "headline", "log", "comparison")),
    Metric("hamming_loss", "Hamming loss", None, ("gate",), "lower"),
    Metric(
        "expected_calibration_error",
        "Expected calibration error",
        ("gate", "headline", "log"),
        ("gate", "headline", "log"),
        "lower",
    ),
)

PLACES = {"one": "multiclass_classification_metrics", "several": "multilabel_classification_metrics"}
"""Where in evaluation.json a target's figures are; the first is the place of SageMaker's model quality."""

LABELS = {metric.name: metric.label for metric in METRICS}
"""What people call the figures."""

WATCHED = ("accuracy", "macro_f1", "weighted_f1")
"""Figures of the validation set that training shows after each epoch; where a text may have several labels,
accuracy is there that all of them are right."""

VALIDATION = ("loss", *WATCHED)
"""All that is shown of an epoch, in the order of its line; early stopping may look at each."""


def names(kind: str, use: Use | None = None) -> tuple[str, ...]:
    """Return the metrics of a kind of target, ``one`` or ``several``: all, or those of one use."""
    uses = {metric.name: metric.one if kind == "one" else metric.several for metric in METRICS}
    return tuple(name for name, of in uses.items() if of is not None and (use is None or use in of))


def gain(name: str, difference: float) -> float:
    """Return by how much a figure is better, given how much it is larger; below 0 it is worse."""
    (better,) = (metric.better for metric in METRICS if metric.name == name)
    return difference if better == "higher" else -difference


def logged(name: str, value: float) -> str:
    """Return a figure as a line of the training log has it, for ``METRIC_DEFINITIONS`` to find."""
    return f"{name}={value:.4f};"


METRIC_DEFINITIONS = [
    {"Name": name, "Regex": rf"{name}=([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?);"}
    for name in ("train:loss", *(f"validation:{name}" for name in VALIDATION))
]
"""How SageMaker finds the figures in the training log: the training job's ``MetricDefinitions``."""

if TYPE_CHECKING:  # a Literal of what the table has is nothing that a type checker could know
    GateMetric: TypeAlias = str
    MarginMetric: TypeAlias = str
    EpochMetric: TypeAlias = str
else:
    GateMetric = Literal[tuple(dict.fromkeys((*names("one", "gate"), *names("several", "gate"))))]
    MarginMetric = Literal[names("one", "margin")]
    EpochMetric = Literal[(*WATCHED, "loss")]


@dataclass(frozen=True)
class Threshold:
    """A bound on one metric."""

    metric: str
    kind: Bound
    bound: float


@dataclass(frozen=True)
class Check:
    """A threshold and how the model did."""

    metric: str
    kind: Bound
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
