"""Reading metrics: percentiles, which moto answers with nothing, and a list that names each metric once."""

from __future__ import annotations

from typing import Any, SupportsFloat

from moto.cloudwatch.models import CloudWatchBackend, MetricDatumBase, Statistics
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from mlops_workbench.sandbox.alarms.series import statistic

_statistic = Statistics.get_statistics_for_type
_get = CloudWatchResponse.get_metric_statistics


def get_statistics_for_type(self: Statistics, stat: str) -> SupportsFloat | None:
    """Return a statistic of a period, for GetMetricData: ``p95`` too."""
    return statistic(stat, self.metric_data) if stat.startswith("p") else _statistic(self, stat)


def get_metric_statistics(self: CloudWatchResponse) -> ActionResult:
    """Return statistics of each period, and percentiles where asked for."""
    extended = self._get_param("ExtendedStatistics") or []
    # moto wants statistics, and gives none that is not asked for.
    answer = _get(self)
    for datapoint in answer.result["Datapoints"]:  # type: ignore[index]
        found = {name: statistic(name, datapoint.metric_data) for name in extended}
        datapoint.extended_statistics = {name: value for name, value in found.items() if value is not None}
    return answer


def get_filtered_metrics(
    self: CloudWatchBackend, metric_name: str, namespace: str, dimensions: list[dict[str, str]]
) -> list[MetricDatumBase]:
    """Return a datum of each metric, for ListMetrics; moto compares every datum with every other."""
    found: dict[Any, MetricDatumBase] = {}
    for datum in self.get_all_metrics():
        if datum.filter(namespace=namespace, name=metric_name, dimensions=dimensions):
            pairs = sorted((each.name, each.value) for each in datum.dimensions)
            found.setdefault((datum.namespace, datum.name, tuple(pairs)), datum)
    return list(found.values())


def install() -> None:
    """Patch moto."""
    Statistics.get_statistics_for_type = get_statistics_for_type  # type: ignore[method-assign]
    CloudWatchResponse.get_metric_statistics = get_metric_statistics  # type: ignore[method-assign]
    CloudWatchBackend.get_filtered_metrics = get_filtered_metrics  # type: ignore[method-assign]
