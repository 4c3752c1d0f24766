"""Condition and Fail steps."""

from __future__ import annotations

from mlops_workbench.sandbox.pipelines.conditions import evaluate
from mlops_workbench.sandbox.pipelines.errors import StepFailed
from mlops_workbench.sandbox.pipelines.expressions import as_text
from mlops_workbench.sandbox.pipelines.steps.call import Call, Outcome

#: Characters of a Fail step's message (botocore: FailStepMetadata).
MAX_MESSAGE = 3072


def condition(call: Call) -> Outcome:
    """Decide between the branches: IfSteps when every condition holds."""
    holds = all(evaluate(item, call.resolve) for item in call.arguments["Conditions"])
    call.report({"Condition": {"Outcome": str(holds)}})
    return Outcome({"Outcome": holds}, branch=holds)


def fail(call: Call) -> Outcome:
    """End the execution with the step's message."""
    message = as_text(call.arguments.get("ErrorMessage", ""))[:MAX_MESSAGE]
    call.report({"Fail": {"ErrorMessage": message}})
    raise StepFailed(message)
