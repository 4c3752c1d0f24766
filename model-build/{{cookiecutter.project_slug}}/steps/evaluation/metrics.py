"""The metrics, in one table that everything reads: steps, report, gate, configuration, training job.

A new metric is a line here, and one in scores.py that computes it. Standard library only: the pipeline
imports this where there is neither NumPy nor PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

Use = Literal["gate", "headline", "log", "comparison", "margin"]
"""Where a metric is used, beside the table of all figures and evaluation.json.

``gate``: config/model.yaml may have a threshold on it; ``headline``: large on the report; ``log``: a line in
the log of the evaluation; ``comparison``: shown beside the live model's (paired.py computes it); ``margin``:
``comparison.not_worse_by`` may be about it.
"""


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
