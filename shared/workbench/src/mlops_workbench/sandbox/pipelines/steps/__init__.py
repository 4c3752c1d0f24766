"""What a step of each type does, given its resolved arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlops_workbench.sandbox.pipelines.steps import control, functions, jobs, models
from mlops_workbench.sandbox.pipelines.steps.call import Call, Outcome

#: Runs a step to its end; raises StepFailed or StepStopped.
Runner = Callable[[Call], Outcome]

RUNNERS: Mapping[str, Runner] = {
    "Processing": jobs.processing,
    "Training": jobs.training,
    "Transform": jobs.transform,
    "Lambda": functions.lambda_function,
    "Model": models.create,
    "RegisterModel": models.register,
    "Condition": control.condition,
    "Fail": control.fail,
}

__all__ = ["RUNNERS", "Call", "Outcome", "Runner"]
