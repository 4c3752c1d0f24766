"""The operators of Condition steps."""

from __future__ import annotations

from typing import Any

import pytest
from documents import compare

from mlops_workbench.sandbox.services.sagemaker.pipelines.conditions import evaluate
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import ExpressionError


def holds(condition: dict[str, Any]) -> bool:
    """Evaluate a condition without expressions in it."""
    return evaluate(condition, lambda value: value)


@pytest.mark.parametrize(
    ("type_", "results"),
    [
        ("Equals", (False, True, False)),
        ("GreaterThan", (False, False, True)),
        ("GreaterThanOrEqualTo", (False, True, True)),
        ("LessThan", (True, False, False)),
        ("LessThanOrEqualTo", (True, True, False)),
    ],
)
def test_comparisons(type_: str, results: tuple[bool, bool, bool]) -> None:
    """Of numbers, whole or not, and of strings."""
    assert tuple(holds(compare(type_, left, 2)) for left in (1, 2.0, 3)) == results
    assert tuple(holds(compare(type_, left, "b")) for left in "abc") == results


def test_in_not_or() -> None:
    """They nest."""
    within = {"Type": "In", "QueryValue": "a", "Values": ["b", "a"]}
    outside = {"Type": "In", "QueryValue": "a", "Values": ["b"]}
    assert holds(within)
    assert not holds(outside)
    assert not holds({"Type": "Not", "Condition": within})
    assert holds({"Type": "Or", "Conditions": [outside, {"Type": "Not", "Condition": outside}]})
    assert not holds({"Type": "Or", "Conditions": [outside, outside]})


def test_or_does_not_look_at_what_does_not_matter() -> None:
    """The second half may refer to something without a value."""

    def resolve(value: Any) -> Any:
        if value == "missing":
            raise ExpressionError("no value")
        return value

    condition = {"Type": "Or", "Conditions": [compare("Equals", 1, 1), compare("Equals", "missing", 1)]}
    assert evaluate(condition, resolve)


@pytest.mark.parametrize(("left", "right"), [("1", 1), (True, 1), (None, 1), ([1], [1])])
def test_values_of_different_kinds_are_not_compared(left: Any, right: Any) -> None:
    """A number never equals a text by accident."""
    with pytest.raises(ExpressionError, match="Equals: expected two values of one kind, got the"):
        holds(compare("Equals", left, right))


def test_booleans_and_null_have_no_order() -> None:
    """But they can be equal."""
    assert holds(compare("Equals", True, True))
    with pytest.raises(ExpressionError, match="that have an order"):
        holds(compare("LessThan", False, True))
