"""Condition operators, as in IAM's reference of condition elements.

A key that the request does not have fails a positive operator and meets a negated one; ``...IfExists`` and
``ForAllValues:`` are met by its absence, ``ForAnyValue:`` is not.
"""

from __future__ import annotations

import functools
import ipaddress
import operator as compare
from collections.abc import Callable
from datetime import UTC, datetime

from mlops_workbench.sandbox.access.documents import Condition
from mlops_workbench.sandbox.access.patterns import Context, arn_matches, expand, matches
from mlops_workbench.sandbox.errors import PolicyError

#: (the policy's value, the request's value, context) -> whether they agree.
Test = Callable[[str, str, Context], bool]


def met(condition: Condition, context: Context) -> bool:
    """Whether a request meets one condition.

    Raises:
        PolicyError: IAM has no such operator.
    """
    quantifier, _, operator = condition.operator.rpartition(":")
    if operator == "Null":
        wanted = condition.values[0].lower() == "true"
        return wanted == (condition.key.lower() not in context)
    if_exists = operator.endswith("IfExists")
    test, negated = _operator(operator.removesuffix("IfExists"))
    values = context.get(condition.key.lower(), ())
    if not values:
        if quantifier == "ForAnyValue":
            return False
        return negated or if_exists or quantifier == "ForAllValues"

    def agrees(value: str) -> bool:
        return any(test(wanted, value, context) for wanted in condition.values) != negated

    if quantifier == "ForAllValues" or (negated and quantifier != "ForAnyValue"):
        return all(agrees(value) for value in values)
    return any(agrees(value) for value in values)


@functools.cache
def _operator(name: str) -> tuple[Test, bool]:
    positive = name.replace("Not", "", 1)
    if name in _TESTS:
        return _TESTS[name], False
    if positive != name and positive in _NEGATABLE:
        return _TESTS[positive], True
    raise PolicyError(f"policy: Condition: IAM has no operator {name!r}")


def _equals(wanted: str, value: str, context: Context) -> bool:
    return expand(wanted, context) == value


def _equals_ignoring_case(wanted: str, value: str, context: Context) -> bool:
    expanded = expand(wanted, context)
    return expanded is not None and expanded.lower() == value.lower()


def _bool(wanted: str, value: str, context: Context) -> bool:
    return wanted.lower() == value.lower()


def _number(test: Callable[[float, float], bool]) -> Test:
    def agrees(wanted: str, value: str, context: Context) -> bool:
        try:
            return test(float(value), float(wanted))
        except ValueError:
            return False

    return agrees


def _date(test: Callable[[float, float], bool]) -> Test:
    def agrees(wanted: str, value: str, context: Context) -> bool:
        try:
            return test(_seconds(value), _seconds(wanted))
        except ValueError:
            return False

    return agrees


def _seconds(text: str) -> float:
    """Read ISO 8601 or seconds since 1970."""
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_network(wanted: str, value: str, context: Context) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


_TESTS: dict[str, Test] = {
    "StringEquals": _equals,
    "StringEqualsIgnoreCase": _equals_ignoring_case,
    "StringLike": lambda wanted, value, context: matches(wanted, value, context),
    # IAM treats the two alike.
    "ArnEquals": arn_matches,
    "ArnLike": arn_matches,
    "Bool": _bool,
    "BinaryEquals": _equals,
    "IpAddress": _in_network,
    "NumericEquals": _number(compare.eq),
    "NumericLessThan": _number(compare.lt),
    "NumericLessThanEquals": _number(compare.le),
    "NumericGreaterThan": _number(compare.gt),
    "NumericGreaterThanEquals": _number(compare.ge),
    "DateEquals": _date(compare.eq),
    "DateLessThan": _date(compare.lt),
    "DateLessThanEquals": _date(compare.le),
    "DateGreaterThan": _date(compare.gt),
    "DateGreaterThanEquals": _date(compare.ge),
}
_NEGATABLE = {
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "ArnEquals",
    "ArnLike",
    "IpAddress",
    "NumericEquals",
    "DateEquals",
}
#: The operators that are evaluated; those that can be negated are so with ``Not`` in their name.
OPERATORS = tuple(_TESTS)
