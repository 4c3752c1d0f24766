"""Figures that a training job prints, collected with the request's regular expressions."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from mlops_workbench.sandbox.aws.sagemaker.records import now
from mlops_workbench.sandbox.errors import JobFailed


class Metrics:
    """The last value of each metric of an AlgorithmSpecification."""

    def __init__(self, definitions: list[dict[str, str]]) -> None:
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        self._values: dict[str, tuple[float, datetime]] = {}
        for definition in definitions:
            try:
                pattern = re.compile(definition["Regex"])
            except re.error as error:
                name = definition["Name"]
                raise JobFailed(
                    f"ClientError: MetricDefinitions: {name}: not a regular expression: {error}"
                ) from None
            self._patterns.append((definition["Name"], pattern))

    def read(self, line: str) -> None:
        """Look for every metric in a line; the first group of a match is the value."""
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    self._values[name] = (float(match[1] if pattern.groups else match[0]), now())
                except (ValueError, TypeError):
                    continue

    def final(self) -> list[dict[str, Any]]:
        """Return FinalMetricDataList."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": moment}
            for name, (value, moment) in self._values.items()
        ]
