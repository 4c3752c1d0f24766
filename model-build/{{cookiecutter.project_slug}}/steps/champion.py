"""The declared margin: how much worse than the live model a new one may be and still be registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


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
        losses.append((round(figure["live"] - figure["candidate"], 6), target, chosen, figure))
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
