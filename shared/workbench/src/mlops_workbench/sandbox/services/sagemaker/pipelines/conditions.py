"""Conditions of Condition steps, in the spelling of sagemaker 3.27.0 (``core/workflow/conditions.py``).

    {"Type": "GreaterThanOrEqualTo", "LeftValue": …, "RightValue": …}
    {"Type": "In", "QueryValue": …, "Values": […]}
    {"Type": "Not", "Condition": {…}}            the service refuses the older spelling "Expression"
    {"Type": "Or", "Conditions": [{…}, …]}

A step's ``Conditions`` must all be true; there is no "And".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mlops_workbench.sandbox.errors import suggest
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import ExpressionError

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_KEYS = {
    **{name: ("LeftValue", "RightValue") for name in COMPARISONS},
    "In": ("QueryValue", "Values"),
    "Not": ("Condition",),
    "Or": ("Conditions",),
}


def problems(conditions: Any, where: str = "Conditions") -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the form of a list of conditions, as (key, message)."""
    if not isinstance(conditions, list) or not conditions:
        yield where, f"expected a list of at least one condition, got {conditions!r}"
        return
    for number, condition in enumerate(conditions):
        yield from _problems(condition, f"{where}[{number}]")


def _problems(condition: Any, where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(condition, Mapping):
        yield where, f"expected an object, got {condition!r}"
        return
    type_ = condition.get("Type")
    if type_ == "And":
        yield f"{where}.Type", 'there is no "And": list the conditions beside each other, all must be true'
        return
    if not isinstance(type_, str) or type_ not in _KEYS:
        yield f"{where}.Type", f"unknown condition {type_!r}{suggest(str(type_), _KEYS)}"
        return
    for key in _KEYS[type_]:
        if key not in condition:
            yield where, f"{type_}: expected the key {key}, found none"
    for key in condition:
        if key != "Type" and key not in _KEYS[type_]:
            yield where, f"{type_}: unknown key {key}{suggest(key, _KEYS[type_])}"
    if type_ == "Not" and "Condition" in condition:
        yield from _problems(condition["Condition"], f"{where}.Condition")
    if type_ == "Or" and "Conditions" in condition:
        yield from problems(condition["Conditions"], f"{where}.Conditions")
    if type_ == "In" and not isinstance(condition.get("Values", []), list):
        yield f"{where}.Values", f"expected a list, got {condition['Values']!r}"


def evaluate(condition: Mapping[str, Any], resolve: Callable[[Any], Any]) -> bool:
    """Return whether a well-formed condition holds.

    Args:
        condition: as written in the definition.
        resolve: replaces the expressions in a value.

    Raises:
        ExpressionError: a value is missing, or two values cannot be compared.
    """
    type_ = condition["Type"]
    if type_ == "Not":
        return not evaluate(condition["Condition"], resolve)
    if type_ == "Or":
        return any(evaluate(item, resolve) for item in condition["Conditions"])
    if type_ == "In":
        wanted = resolve(condition["QueryValue"])
        return any(compare("Equals", wanted, resolve(item)) for item in condition["Values"])
    return compare(type_, resolve(condition["LeftValue"]), resolve(condition["RightValue"]))


def compare(type_: str, left: Any, right: Any) -> bool:
    """Compare two scalars of the same kind (numbers with numbers, strings with strings, …).

    Raises:
        ExpressionError: they are of different kinds, or have no order.
    """
    kinds = _kind(left), _kind(right)
    ordered = type_ == "Equals" or kinds[0] in ("number", "string")
    if kinds[0] != kinds[1] or not ordered or "other" in kinds:
        raise ExpressionError(
            f"{type_}: expected two values of one kind{'' if type_ == 'Equals' else ' that have an order'}, "
            f"got the {kinds[0]} {left!r} and the {kinds[1]} {right!r}"
        )
    return COMPARISONS[type_](left, right)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "null" if value is None else "other"
