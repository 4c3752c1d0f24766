"""What the metrics say of the last days: the sums that the dashboard draws, for one version of a model."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from .count import CONFIDENCE, NAMESPACE, NO_LABEL, UNKNOWN, WORDS, bin_names, dimension_value

DAY = 86_400  # seconds
MOST_QUERIES = 500  # [read] GetMetricData: MetricDataQueries


class Series(NamedTuple):
    """One number: a metric's sum, or how many values it had, over all days."""

    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str = "Sum"


class Answered(NamedTuple):
    """What was answered for one target.

    Attributes:
        labels: how many texts got each.
        confidence: how many texts in each bin.
        mean_confidence: None: nothing was counted.
        review: how many texts a person should look at.
    """

    labels: dict[str, int]
    confidence: list[int]
    mean_confidence: float | None
    review: int


class Lately(NamedTuple):
    """What was answered in the last days.

    Attributes:
        texts: how many.
        words: how many of them in each bin of length.
        mean_words: None: nothing was counted.
        unknown: how many of them in each bin of unknown words.
        mean_unknown: share, 0 to 1.
        targets: by name.
    """

    texts: int
    words: list[int]
    mean_words: float | None
    unknown: list[int]
    mean_unknown: float | None
    targets: dict[str, Answered]


def read(cloudwatch: Any, name: str, version: str, days: int, targets: Mapping[str, Sequence[str]]) -> Lately:
    """The figures of one version.

    Args:
        cloudwatch: the client.
        name: of the endpoint, or of the batch pipeline.
        version: of the model package.
        days: how many.
        targets: name -> its labels.
    """
    of = (("Name", name), ("Version", version))
    wanted: dict[tuple[str, ...], Series] = {("texts",): Series("Texts", of)}
    _add_bins(wanted, "words", "TextsByWords", of, bin_names(WORDS))
    _add_bins(wanted, "unknown", "TextsByUnknownWords", of, bin_names(UNKNOWN))
    _add_mean(wanted, "words", "Words", of)
    _add_mean(wanted, "unknown", "UnknownWords", of)
    for target, labels in targets.items():
        at = (*of, ("Target", dimension_value(target)))
        for label in (*labels, NO_LABEL):
            dimensions = (*at, ("Label", dimension_value(label)))
            wanted[target, "label", label] = Series("Answers", dimensions)
        _add_bins(wanted, f"{target}.confidence", "AnswersByConfidence", at, bin_names(CONFIDENCE))
        _add_mean(wanted, f"{target}.confidence", "Confidence", at)
        wanted[target, "review"] = Series("NeedsReview", at)
    found = dict(zip(wanted, sums(cloudwatch, list(wanted.values()), days), strict=True))
    return _arranged(found, targets)


def _arranged(found: Mapping[tuple[str, ...], float], targets: Mapping[str, Sequence[str]]) -> Lately:
    def bins(what: str, bounds: Sequence[float]) -> list[int]:
        return [round(found[what, "bin", name]) for name in bin_names(bounds)]

    def mean(what: str) -> float | None:
        return found[what, "sum"] / found[what, "count"] if found[what, "count"] else None

    unknown = mean("unknown")
    return Lately(
        round(found["texts",]),
        bins("words", WORDS),
        mean("words"),
        bins("unknown", UNKNOWN),
        None if unknown is None else unknown / 100,
        {
            target: Answered(
                {
                    label: round(found[target, "label", label])
                    for label in (*labels, NO_LABEL)
                    if label != NO_LABEL or found[target, "label", label]
                },
                bins(f"{target}.confidence", CONFIDENCE),
                mean(f"{target}.confidence"),
                round(found[target, "review"]),
            )
            for target, labels in targets.items()
        },
    )


def _add_bins(
    wanted: dict[tuple[str, ...], Series],
    what: str,
    metric: str,
    of: tuple[tuple[str, str], ...],
    names: Iterable[str],
) -> None:
    for name in names:
        wanted[what, "bin", name] = Series(metric, (*of, ("Bin", name)))


def _add_mean(
    wanted: dict[tuple[str, ...], Series], what: str, metric: str, of: tuple[tuple[str, str], ...]
) -> None:
    wanted[what, "sum"] = Series(metric, of)
    wanted[what, "count"] = Series(metric, of, "SampleCount")


def sums(cloudwatch: Any, series: Sequence[Series], days: int) -> list[float]:
    """Each series over the last days, in their order; 0 where there are no data."""
    end = datetime.now(UTC) + timedelta(minutes=1)  # data of this minute, too
    totals = [0.0] * len(series)
    for first in range(0, len(series), MOST_QUERIES):
        queries = [_query(first + number, each) for number, each in enumerate(series[first:][:MOST_QUERIES])]
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=end - timedelta(days=days), EndTime=end
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                totals[int(result["Id"].removeprefix("m"))] += sum(result["Values"])
    return totals


def _query(number: int, series: Series) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in series.dimensions]
    metric = {"Namespace": NAMESPACE, "MetricName": series.metric, "Dimensions": dimensions}
    return {
        "Id": f"m{number}",
        "MetricStat": {"Metric": metric, "Period": DAY, "Stat": series.statistic},
    }
