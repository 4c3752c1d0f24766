"""Policies as data, and what their wildcards, variables and conditions say of a request.

The elements of a statement are always lists. Condition operators are those of IAM's reference of condition
elements: a key that the request does not have fails a positive operator and meets a negated one;
``...IfExists`` and ``ForAllValues:`` are met by its absence, ``ForAnyValue:`` is not.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import operator as compare
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops_workbench.sandbox.errors import PolicyError

#: Condition keys in lower case, each with the request's values for it.
Context = Mapping[str, tuple[str, ...]]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
#: (the policy's value, the request's value, context) -> whether they agree.
Test = Callable[[str, str, Context], bool]


@dataclass(frozen=True)
class Condition:
    """One operator, one key, and the values that the policy gives for it."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """A statement; what the document does not have is ``None``.

    Attributes:
        principals: kind ("AWS", "Service", "Federated", "*") to its values.
    """

    allow: bool
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: Mapping[str, tuple[str, ...]] | None
    not_principals: Mapping[str, tuple[str, ...]] | None
    conditions: tuple[Condition, ...]


Policy = tuple[Statement, ...]


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Policy:
    """Read a document.

    Raises:
        PolicyError: it is not JSON, or a statement has no effect that IAM knows.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PolicyError(f"policy: expected JSON: {error}") from None
    return tuple(_statement(each) for each in _list(document.get("Statement", [])))


def without_keys(policy: Policy, keys: Iterable[str]) -> Policy:
    """Return the policy without its conditions on these keys, which are in lower case."""
    left_out = set(keys)
    return tuple(
        Statement(
            **{
                **vars(statement),
                "conditions": tuple(c for c in statement.conditions if c.key.lower() not in left_out),
            }
        )
        for statement in policy
    )


def _statement(document: Mapping[str, Any]) -> Statement:
    effect = document.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"policy: Effect: expected Allow or Deny, got {effect!r}")
    conditions = tuple(
        Condition(operator, key, tuple(_text(value) for value in _list(values)))
        for operator, keys in document.get("Condition", {}).items()
        for key, values in keys.items()
    )
    return Statement(
        allow=effect == "Allow",
        actions=_strings(document.get("Action")),
        not_actions=_strings(document.get("NotAction")),
        resources=_strings(document.get("Resource")),
        not_resources=_strings(document.get("NotResource")),
        principals=_principals(document.get("Principal")),
        not_principals=_principals(document.get("NotPrincipal")),
        conditions=conditions,
    )


def _principals(element: Any) -> Mapping[str, tuple[str, ...]] | None:
    if element is None:
        return None
    if isinstance(element, str):
        return {element: (element,)}
    return {kind: tuple(_list(values)) for kind, values in element.items()}


def _strings(element: Any) -> tuple[str, ...] | None:
    return None if element is None else tuple(_list(element))


def _list(element: Any) -> list[Any]:
    return element if isinstance(element, list) else [element]


def _text(value: Any) -> str:
    # JSON's true in a document means the string "true".
    return str(value).lower() if isinstance(value, bool) else str(value)


def context_of(values: Mapping[str, str | bool | list[str] | tuple[str, ...] | None]) -> Context:
    """Return the context of a request; a value of ``None`` means that the key is absent."""
    context: dict[str, tuple[str, ...]] = {}
    for key, value in values.items():
        if isinstance(value, bool):
            context[key.lower()] = (str(value).lower(),)
        elif isinstance(value, str):
            context[key.lower()] = (value,)
        elif value is not None:
            context[key.lower()] = tuple(value)
    return context


def matches(pattern: str, value: str, context: Context, *, ignore_case: bool = False) -> bool:
    """Whether a value fits a pattern with ``*``, ``?`` and policy variables."""
    expression = _expression(pattern, context)
    if expression is None:
        return False
    return bool(_compiled(expression, ignore_case).fullmatch(value))


def expand(text: str, context: Context) -> str | None:
    """Return a value with its policy variables replaced, or ``None`` if one of them is absent."""
    absent = False

    def replace(found: re.Match[str]) -> str:
        nonlocal absent
        value = _variable(found[1], context)
        absent = absent or value is None
        return value or ""

    replaced = _VARIABLE.sub(replace, text)
    return None if absent else replaced


def arn_matches(pattern: str, arn: str, context: Context) -> bool:
    """Compare ARNs as ``ArnLike`` does: a wildcard does not reach over the first five colons."""
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    if pattern == "*":
        return True
    return len(patterns) == len(parts) == 6 and all(
        matches(each, part, context) for each, part in zip(patterns, parts, strict=True)
    )


def _expression(pattern: str, context: Context) -> str | None:
    """Return a regular expression; ``None`` if a policy variable has no value, since nothing fits then."""
    expression, position = "", 0
    for found in _VARIABLE.finditer(pattern):
        value = _variable(found[1], context)
        if value is None:
            return None
        expression += _glob(pattern[position : found.start()]) + re.escape(value)
        position = found.end()
    return expression + _glob(pattern[position:])


def _glob(text: str) -> str:
    return re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")


def _variable(name: str, context: Context) -> str | None:
    name, _, default = name.partition(",")
    name = name.strip()
    if name in ("*", "?", "$"):
        return name
    values = context.get(name.lower())
    if values and len(values) == 1:
        return values[0]
    default = default.strip()
    return default[1:-1] if len(default) > 1 and default[0] == default[-1] == "'" else None


@functools.lru_cache(maxsize=4096)
def _compiled(expression: str, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


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
