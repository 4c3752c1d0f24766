"""Values of pipeline parameters."""

from __future__ import annotations

import pytest
from documents import parameter, pipeline, processing, text

from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import DefinitionError, bind

DEFINITION = parse(
    text(
        pipeline(
            processing("A"),
            parameters=[
                parameter("Name", default="x", enum=["x", "y"]),
                parameter("Epochs", "Integer", 3),
                parameter("Rate", "Float", 1),
                parameter("Fast", "Boolean", False),
                parameter("Bucket"),
            ],
        )
    )
)


def test_texts_become_values_of_the_declared_types() -> None:
    """StartPipelineExecution carries text only."""
    given = [("Name", "y"), ("Epochs", "5"), ("Rate", "1e-3"), ("Fast", "True"), ("Bucket", "")]
    values = bind(DEFINITION, given)
    assert values == {"Name": "y", "Epochs": 5, "Rate": 0.001, "Fast": True, "Bucket": ""}
    assert isinstance(values["Epochs"], int)


def test_what_is_not_given_has_its_default() -> None:
    """False and 0 are defaults too."""
    assert bind(DEFINITION, [("Bucket", "b")]) == {
        "Name": "x",
        "Epochs": 3,
        "Rate": 1,
        "Fast": False,
        "Bucket": "b",
    }


def test_everything_wrong_with_the_values_is_said_at_once() -> None:
    """Wrong types, enum, unknown names, names given twice, and what is missing."""
    given = [
        ("Epochs", "3.5"),
        ("Rate", "fast"),
        ("Fast", "yes"),
        ("Name", "z"),
        ("Epoch", "1"),
        ("Epochs", "1"),
    ]
    with pytest.raises(DefinitionError) as caught:
        bind(DEFINITION, given)
    assert [str(problem) for problem in caught.value.problems] == [
        "parameter 'Epochs': expected a whole number, got '3.5'",
        "parameter 'Rate': expected a number, got 'fast'",
        "parameter 'Fast': expected true or false, got 'yes'",
        "parameter 'Name': expected one of x, y, got 'z'",
        "parameter 'Epoch': the pipeline declares no such parameter; did you mean \"Epochs\"?",
        "parameter 'Epochs': given twice",
        "parameter 'Bucket': expected a value, found none; it has no default: give Bucket=…",
    ]


def test_a_missing_value_may_be_left_out_of_a_check() -> None:
    """`mlops-sandbox validate` does not ask for it."""
    assert "Bucket" not in bind(DEFINITION, [], partial=True)
