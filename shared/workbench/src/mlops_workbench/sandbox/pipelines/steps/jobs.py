"""Processing, Training and Transform steps: a job, run to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlops_workbench.sandbox.jobs import (
    JobContext,
    JobFailed,
    JobStopped,
    run_processing,
    run_training,
    run_transform,
)
from mlops_workbench.sandbox.pipelines.errors import StepFailed, StepStopped
from mlops_workbench.sandbox.pipelines.requests import build
from mlops_workbench.sandbox.pipelines.shapes import OPERATIONS
from mlops_workbench.sandbox.pipelines.steps.call import Call, Outcome


def processing(call: Call) -> Outcome:
    """Run a processing job; its properties are DescribeProcessingJob's answer."""
    return _run(call, run_processing)


def training(call: Call) -> Outcome:
    """Run a training job; its properties are DescribeTrainingJob's answer."""
    return _run(call, run_training)


def transform(call: Call) -> Outcome:
    """Run a transform job; its properties are DescribeTransformJob's answer."""
    return _run(call, run_transform)


def _run(call: Call, job: Callable[[dict[str, Any], JobContext], dict[str, Any]]) -> Outcome:
    operation = OPERATIONS[call.step.type]
    world = call.world
    arn = f"arn:aws:sagemaker:{world.region}:{world.account}:{operation.resource}/{call.name}"
    # Known before the job begins, so that whoever follows the execution can find its log.
    call.report({operation.metadata: {"Arn": arn}})
    request = build(operation, call.arguments, call.name)
    try:
        answer = job(request, world.job_context(call.name, call.stop, arn, request))
    except JobStopped:
        raise StepStopped from None
    except JobFailed as failure:
        raise StepFailed(failure.reason, kind=failure.kind, last_lines=failure.last_lines) from None
    return Outcome(answer)
