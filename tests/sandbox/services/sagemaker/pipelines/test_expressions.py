"""Get, Std:Join and Std:JsonGet, and the operators of Condition steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from documents import compare, get, join, property_value

from mlops_workbench.sandbox.services.sagemaker.pipelines.conditions import evaluate
from mlops_workbench.sandbox.services.sagemaker.pipelines.expressions import (
    Unknown,
    lookup,
    parse_path,
    references,
    resolve,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import ExpressionError

REPORT = {"metrics": {"accuracy": {"value": 0.9}, "per class": [{"f1": 0.5}]}, "a.b": 1}


class Values:
    """A scope with a few fixed values."""

    def parameter(self, name: str) -> Any:
        """Return a parameter."""
        return {"Epochs": 3, "Rate": 0.5, "Fast": True, "Name": "x", "List": [1], "Later": Unknown("Later")}[
            name
        ]

    def execution(self, name: str) -> Any:
        """Return a variable."""
        return {"PipelineExecutionId": "abc"}[name]

    def step(self, name: str, tokens: Sequence[str | int]) -> Any:
        """Return a property of the one step there is."""
        outputs = [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}, {"OutputName": "test"}]
        answer = {
            "ProcessingOutputConfig": {"Outputs": outputs},
            "FinalMetricDataList": [{"MetricName": "validation:f1", "Value": 0.8}],
            "Tags": {"a.b": 1},
        }
        return lookup(answer, tokens, f"Steps.{name}")

    def property_file(self, step: str, name: str) -> Any:
        """Return the report."""
        return REPORT

    def document(self, s3_uri: str) -> Any:
        """Return a document that tells its own place."""
        return {"uri": s3_uri}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (get("Parameters.Epochs"), 3),
        (get("Execution.PipelineExecutionId"), "abc"),
        (get("Steps.P.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"), "s3://b/train"),
        (get('Steps.P.ProcessingOutputConfig.Outputs["train"].S3Output.S3Uri'), "s3://b/train"),
        (get("Steps.P.ProcessingOutputConfig.Outputs[1].OutputName"), "test"),
        (get("Steps.P.FinalMetricDataList['validation:f1'].Value"), 0.8),
        (get("Steps.P.Tags['a.b']"), 1),
        (join("s3:/", get("Parameters.Name"), join("a", "b", on="-")), "s3://x/a-b"),
        (
            join(get("Parameters.Epochs"), get("Parameters.Rate"), get("Parameters.Fast"), on=" "),
            "3 0.5 true",
        ),
        (join(), ""),
        (property_value("P", "R", "metrics.accuracy.value"), 0.9),
        (property_value("P", "R", "$.metrics['per class'][0].f1"), 0.5),
        (property_value("P", "R", "['a.b']"), 1),
        ({"Std:JsonGet": {"S3Uri": join("s3://b", get("Parameters.Name")), "Path": "uri"}}, "s3://b/x"),
        ({"a": [get("Parameters.Name"), 1, None]}, {"a": ["x", 1, None]}),
        ({"Get": "Parameters.Name", "Other": 1}, {"Get": "Parameters.Name", "Other": 1}),
    ],
)
def test_an_expression_has_a_value(expression: Any, value: Any) -> None:
    """Nested anywhere; an object with other keys beside is not an expression."""
    assert resolve(expression, Values()) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (property_value("P", "R", "metrics.acuracy.value"), 'no "acuracy"; did you mean "accuracy"?'),
        (
            property_value("P", "R", "metrics.accuracy.value.x"),
            'no "x" in it: it is 0.9, not an object or a list',
        ),
        (property_value("P", "R", "a..b"), "expected a path such as a.b['c'][0], got 'a..b'"),
        (get("Steps.P.ProcessingOutputConfig.Outputs[2].OutputName"), "no item 2; it has 2"),
        (get("Steps.P.ProcessingOutputConfig.Outputs['dev']"), "no item named 'dev'; known: test, train"),
        (join(get("Parameters.List")), "Std:Join: expected a string, number or boolean, got [1]"),
        (get("Other.X"), "expected a path that begins with Parameters, Execution or Steps"),
        (
            {"Std:JsonGet": {"PropertyFile": get("Steps.P"), "Path": "x"}},
            "expected a Get of Steps.STEP.PropertyFiles",
        ),
    ],
)
def test_an_expression_without_a_value_says_why(expression: Any, message: str) -> None:
    """The message names the part that is missing and what there is."""
    with pytest.raises(ExpressionError) as caught:
        resolve(expression, Values())
    assert message in str(caught.value)


def test_what_is_not_known_yet_stays_unknown() -> None:
    """A join with an unknown part is an unknown string."""
    assert resolve(get("Parameters.Later"), Values()) == Unknown("Later")
    joined = resolve(join("a", get("Parameters.Later")), Values())
    assert isinstance(joined, Unknown)
    assert joined.kind == "string"


def test_references_are_found_at_any_depth() -> None:
    """In objects, lists, joins and JsonGets, with the place where they stand."""
    value = {"A": [join(get("Steps.X.Y"), get("Parameters.P"))], "B": property_value("Z", "R", "x")}
    assert [(reference.path, reference.where) for reference in references(value)] == [
        ("Steps.X.Y", "A[0].Values[0]"),
        ("Parameters.P", "A[0].Values[1]"),
        ("Steps.Z.PropertyFiles.R", "B.PropertyFile"),
    ]


def test_paths_are_split() -> None:
    """Members, names in quotes, positions."""
    assert parse_path("A.B['c.d'][0].e") == ("A", "B", "c.d", 0, "e")
    assert parse_path("$.a") == ("a",)
    assert parse_path("") == ()


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
