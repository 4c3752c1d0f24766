"""What was answered, counted, and as metrics: in CloudWatch's embedded metric format.

A model's own code (model-build's steps) prints `mlops-watch` lines into its endpoint's log, and
batch-inference's steps write a file of the same. Bins, bounds and keys are the same there and in a model's
training profile; a test holds them to each other.

`handler` is the function that reads an endpoint's log: CloudWatch Logs sends it the lines with the marker (a
subscription filter). Why not straight from the container: the server there puts something of its own before
each line, so that none is a metric by itself. What a function prints in the embedded format, CloudWatch takes
as metrics without any permission for it. [read] "Specification: Embedded metric format": at most 100 values
for a metric in one document, a dimension's value once in a document. CloudWatch bills by name and dimensions,
so all dimensions are of few values: no request, no text, no instance is one.
"""

import base64
import bisect
import gzip
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

MARKER = "mlops-watch "
VERSION = 1
NO_LABEL = "(none)"

# Where the bins begin, but for the first; whole hundredths, as confidence and shares come.
CONFIDENCE = (0.4, 0.6, 0.8, 0.9, 0.97)
WORDS = (5, 10, 20, 50, 100, 250)
UNKNOWN = (0.02, 0.05, 0.1, 0.2, 0.4)

NAMESPACE = "MLOps/Watching"
MOST_VALUES = 100

Document = dict[str, Any]


@dataclass
class Target:
    """What was answered for one target.

    Attributes:
        labels: how many texts got each.
        confidence: how many texts had which, in hundredths.
        review: how many texts a person should look at; None: this model has no triage.
    """

    labels: Counter[str] = field(default_factory=Counter)
    confidence: Counter[int] = field(default_factory=Counter)
    review: int | None = None


@dataclass
class Counts:
    """What was answered to some texts.

    Attributes:
        texts: how many.
        targets: by name.
        words: how many texts have how many.
        unknown: how many texts have which share of words that training did not know, in hundredths; empty
            where nobody knows.
    """

    texts: int = 0
    targets: dict[str, Target] = field(default_factory=dict)
    words: Counter[int] = field(default_factory=Counter)
    unknown: Counter[int] = field(default_factory=Counter)

    def add(self, content: Mapping[str, Any]) -> Self:
        """Adds the content of one line or file.

        Raises:
            ValueError: it is none.
        """
        try:
            if content["version"] != VERSION:
                raise ValueError("another version")
            parts = [_target(each) for each in content["targets"].values()]
            texts, words = int(content["texts"]), _counter(content.get("words", {}))
            unknown = _counter(content.get("unknown", {}))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"expected what a model answered (version {VERSION}), got {error!r}") from None
        self.texts += texts
        self.words += words
        self.unknown += unknown
        for name, part in zip(content["targets"], parts, strict=True):
            ours = self.targets.setdefault(name, Target())
            ours.labels += part.labels
            ours.confidence += part.confidence
            if part.review is not None:
                ours.review = (ours.review or 0) + part.review
        return self


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Prints metrics of a batch of log lines, those of one stream.

    Args:
        event: `awslogs.data`: gzip in base64 of `{"messageType", "logEvents": [{"message"}]}`.
    """
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    if batch["messageType"] != "DATA_MESSAGE":  # CloudWatch asks now and then whether it arrives
        return
    counts, unread = count(each["message"] for each in batch["logEvents"])
    put(documents(counts, os.environ["NAME"], os.environ["MODEL_VERSION"]))
    if unread:
        print(f"{unread} lines of {batch['logGroup']} could not be read: is the model of a newer template?")


def count(messages: Iterable[str]) -> tuple[Counts, int]:
    """The sum of what the lines say, and how many of them could not be read."""
    counts, unread = Counts(), 0
    for message in messages:
        content = of_line(message)
        try:
            if content is None:
                raise ValueError("no JSON")
            counts.add(content)
        except ValueError:
            unread += 1
    return counts, unread


def of_line(message: str) -> dict[str, Any] | None:
    """What a line of a container's log says; None for any other line.

    Whatever stands before the marker is the inference container's: a time, a level, the worker's name.
    """
    _, marker, rest = message.partition(MARKER)
    if not marker:
        return None
    try:
        content = json.loads(rest)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


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


def binned(values: Mapping[int, int], bounds: Sequence[int]) -> list[int]:
    """How many of the values fall into each bin."""
    counts = [0] * (len(bounds) + 1)
    for value, count in values.items():
        counts[bisect.bisect_right(bounds, value)] += count
    return counts


def hundredths(bounds: Sequence[float]) -> list[int]:
    """Bounds of shares in the unit in which they are counted."""
    return [round(100 * bound) for bound in bounds]


def bin_names(bounds: Sequence[float]) -> list[str]:
    """What the bins are called: `0-0.4`, …, `0.97-`; in the order of the bins."""
    return [
        f"{low:g}-{high}" for low, high in zip((0, *bounds), (*(f"{b:g}" for b in bounds), ""), strict=True)
    ]


def spread(values: Mapping[int, int], most: int) -> list[int]:
    """The values, each as often as it was counted; of more than `most`, so many that are spread alike."""
    total = sum(values.values())
    if total <= most:
        return sorted(_each(values))
    ordered = sorted(values.items())
    below, chosen, index = ordered[0][1], [], 0
    for number in range(most):
        rank = (2 * number + 1) * total / (2 * most)  # the middle of each of `most` equal parts
        while below < rank:
            index += 1
            below += ordered[index][1]
        chosen.append(ordered[index][0])
    return chosen


def _target(content: Mapping[str, Any]) -> Target:
    review = content.get("review")
    labels = Counter({str(label): int(count) for label, count in content["labels"].items()})
    return Target(labels, _counter(content["confidence"]), None if review is None else int(review))


def _counter(content: Mapping[str, Any]) -> Counter[int]:
    return Counter({int(value): int(count) for value, count in content.items()})


def _each(values: Mapping[int, int]) -> Iterable[int]:
    for value, count in values.items():
        yield from [value] * count


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
