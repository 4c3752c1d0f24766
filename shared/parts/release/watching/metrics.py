"""Metrics as log lines: CloudWatch's embedded metric format (EMF), from which it takes them by itself.

A function that prints such a line needs no permission for metrics. [read] "Specification: Embedded metric
format": at most 100 values for a metric in one document, a dimension's value once in a document. CloudWatch
bills by name and dimensions, so all dimensions are of few values: no request, no text, no instance is one.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from .figures import (
    CONFIDENCE,
    UNKNOWN,
    WORDS,
    Counts,
    Target,
    bin_names,
    binned,
    hundredths,
    spread,
)

NAMESPACE = "MLOps/Watching"
MOST_VALUES = 100

Document = dict[str, Any]


def documents(counts: Counts, name: str, version: str) -> list[Document]:
    """What is to be printed about some answers.

    Args:
        counts: of them.
        name: of the endpoint, or of the batch pipeline.
        version: of the model package.
    """
    if not counts.texts:
        return []
    of = {"Name": name, "Version": version}
    values: dict[str, Any] = {"Texts": counts.texts}
    if counts.words:
        values["Words"] = spread(counts.words, MOST_VALUES)
    if counts.unknown:
        values["UnknownWords"] = spread(counts.unknown, MOST_VALUES)
    found = [document(of, values, {"UnknownWords": "Percent"})]
    found += _by_bin("TextsByWords", of, counts.words, list(WORDS), bin_names(WORDS))
    found += _by_bin("TextsByUnknownWords", of, counts.unknown, hundredths(UNKNOWN), bin_names(UNKNOWN))
    for target, answered in counts.targets.items():
        found += _of_target({**of, "Target": target}, answered)
    return found


def _of_target(of: Mapping[str, str], answered: Target) -> Iterable[Document]:
    values: dict[str, Any] = {}
    if answered.confidence:
        values["Confidence"] = [each / 100 for each in spread(answered.confidence, MOST_VALUES)]
    if answered.review is not None:
        values["NeedsReview"] = answered.review
    if values:
        yield document(of, values, {"Confidence": "None"})
    for label, count in answered.labels.items():
        yield document({**of, "Label": label}, {"Answers": count})
    bounds = hundredths(CONFIDENCE)
    yield from _by_bin("AnswersByConfidence", of, answered.confidence, bounds, bin_names(CONFIDENCE))


def _by_bin(
    metric: str, of: Mapping[str, str], values: Mapping[int, int], bounds: list[int], names: list[str]
) -> list[Document]:
    return [
        document({**of, "Bin": name}, {metric: count})
        for name, count in zip(names, binned(values, bounds), strict=True)
        if count
    ]


def document(
    dimensions: Mapping[str, str], values: Mapping[str, Any], units: Mapping[str, str] | None = None
) -> Document:
    """One document: some metrics with the same dimensions; counts unless `units` says otherwise."""
    metrics = [{"Name": name, "Unit": (units or {}).get(name, "Count")} for name in values]
    return {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": NAMESPACE, "Dimensions": [list(dimensions)], "Metrics": metrics},
            ],
        },
        **{name: dimension_value(value) for name, value in dimensions.items()},
        **values,
    }


def dimension_value(text: str) -> str:
    r"""A label as CloudWatch takes it: ASCII without control characters, at most 250 of them, not empty.

    Others are written as their escapes (`\xe9`), so that two labels never become one.
    """
    plain = text.encode("ascii", "backslashreplace").decode()
    plain = "".join(character if character.isprintable() else "?" for character in plain).strip()
    return plain[:250].removeprefix(":") or "?"


def put(found: Iterable[Document]) -> None:
    """Prints documents, each on a line of its own: that is what makes them metrics."""
    for each in found:
        sys.stdout.write(json.dumps(each, separators=(",", ":")) + "\n")
    sys.stdout.flush()
