"""Alarms without a sandbox: what expressions are worth, and which state datapoints give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from moto.cloudwatch.models import MetricAggregatedDatum, MetricDatum

from mlops_workbench.sandbox.services.cloudwatch.expressions import ExpressionError, parse
from mlops_workbench.sandbox.services.cloudwatch.rules import Rule, judge, statistic

MOMENT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("100 * (FILL(a, 0) + FILL(b, 0)) / n", {"a": 1.0, "b": None, "n": 4.0}, 25.0),
        ("a / n", {"a": 1.0, "n": 0.0}, None),
        ("a / n", {"a": None, "n": 4.0}, None),
        ("a / MAX([n, 1]) * 100", {"a": 3.0, "n": None}, 300.0),
        ("SUM([a, b])", {"a": None, "b": None}, None),
        ("AVG([a, b]) - MIN([a, b])", {"a": 2.0, "b": 4.0}, 1.0),
        ("IF(n > 10, a / n, 0)", {"n": 5.0, "a": 5.0}, 0.0),
        ("IF(n >= 5 AND a == 5, a)", {"n": 5.0, "a": 5.0}, 5.0),
        ("IF(n > 10, a)", {"n": 5.0, "a": 5.0}, None),
        ("-a ^ 2 + ABS(b)", {"a": 3.0, "b": -1.0}, -8.0),
        ("a && b || n", {"a": 1.0, "b": 0.0, "n": 0.0}, 0.0),
    ],
)
def test_an_expression_has_the_value_that_cloudwatch_would_give(
    text: str, values: dict[str, float | None], expected: float | None
) -> None:
    expression = parse(text)
    assert expression.names == set(values)
    assert expression.value(values) == expected


@pytest.mark.parametrize(
    "text",
    [
        "RATE(a)",
        "AVG(a)",
        "FILL(a, REPEAT)",
        "SELECT AVG(x) FROM y",
        "a +",
        "a.b",
        "__import__('os')",
        "FILL(a + b, 0)",
        "'text'",
        "True",
        "a if b else n",
        "1 < a < 2",
        "METRICS()",
        "Upper + 1",
    ],
)
def test_what_is_not_computed_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(ExpressionError, match="numbers, ids"):
        parse(text)


def _data(*values: float) -> list[Any]:
    return [MetricDatum("n", "m", value, [], MOMENT) for value in values]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sum", 5050.0),
        ("Average", 50.5),
        ("Minimum", 1.0),
        ("Maximum", 100.0),
        ("SampleCount", 100.0),
        ("p95", 95.0),
        ("p99.5", 100.0),
        ("p0", 1.0),
    ],
)
def test_statistics_of_single_values(name: str, expected: float) -> None:
    assert statistic(name, _data(*(float(value) for value in range(100, 0, -1)))) == expected


def test_published_statistics_count_with_their_samples_and_have_no_percentiles() -> None:
    many = MetricAggregatedDatum("n", "m", 1.0, 9.0, 4.0, 20.0, [], MOMENT)
    both: list[Any] = [many, *_data(10.0)]
    assert statistic("Average", both) == 6.0 and statistic("Maximum", both) == 10.0
    assert statistic("p95", [many]) is None


#: The newest last, as the documentation writes it: 0 is good, X breaches, - is missing. 3 of 3.
_OF_THREE = [
    ("0 - X - X", "OK OK OK OK"),
    ("0 X X - X", "ALARM ALARM ALARM ALARM"),
    ("- - - - 0", "OK OK OK OK"),
    ("- - - - -", "INSUFFICIENT_DATA - ALARM OK"),
    ("- - X - -", "ALARM - ALARM OK"),
    ("X X X 0 0", "OK OK OK OK"),
]
#: 2 of 3.
_TWO_OF_THREE = [
    ("0 - X - X", "ALARM ALARM ALARM ALARM"),
    ("0 0 X 0 X", "ALARM ALARM ALARM ALARM"),
    ("0 - X - -", "OK - ALARM OK"),
    ("- - - - 0", "OK - ALARM OK"),
    ("- - - X -", "ALARM - ALARM OK"),
]


@pytest.mark.parametrize(
    ("datapoints", "row"), [(3, row) for row in _OF_THREE] + [(2, row) for row in _TWO_OF_THREE]
)
def test_missing_data_count_as_the_alarm_says(datapoints: int, row: tuple[str, str]) -> None:
    drawn, expected = row
    values = [{"0": 0.0, "X": 5.0, "-": None}[sign] for sign in reversed(drawn.split())]
    states = []
    for missing in ("missing", "ignore", "breaching", "notBreaching"):
        rule = Rule("GreaterThanThreshold", 1.0, 3, datapoints, missing)
        states.append(judge(rule, values, ["then"] * 5).state or "-")
    assert " ".join(states) == expected


@pytest.mark.parametrize(
    ("comparison", "breaching"),
    [
        ("GreaterThanThreshold", [3.0]),
        ("GreaterThanOrEqualToThreshold", [2.0, 3.0]),
        ("LessThanThreshold", [1.0]),
        ("LessThanOrEqualToThreshold", [1.0, 2.0]),
    ],
)
def test_the_four_comparisons(comparison: str, breaching: list[float]) -> None:
    rule = Rule(comparison, 2.0, 1, 1)
    assert [value for value in (1.0, 2.0, 3.0) if rule.breaches(value)] == breaching


def test_the_reason_is_in_cloudwatchs_words() -> None:
    rule = Rule("GreaterThanThreshold", 0.0, 1, 1, "notBreaching")
    assert judge(rule, [5.0, None, None], ["24/11/26 18:00:00", "", ""]).reason == (
        "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (24/11/26 18:00:00)] was greater than the "
        "threshold (0.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert judge(rule, [None, None, None], ["", "", ""]).reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NonBreaching]."
    )
