"""Lambda steps: a function is invoked with the step's arguments; its answer holds the declared outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_workbench.sandbox.jobs import JobFailed, JobStopped, run_lambda
from mlops_workbench.sandbox.pipelines.errors import StepFailed, StepStopped
from mlops_workbench.sandbox.pipelines.expressions import as_text
from mlops_workbench.sandbox.pipelines.steps.call import Call, Outcome

_PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "String": str,
    "Integer": int,
    "Float": (int, float),
    "Boolean": bool,
}


def lambda_function(call: Call) -> Outcome:
    """Invoke the function; properties are ``OutputParameters``, by name."""
    arn = str(call.resolve(call.step.function_arn))
    call.report({"Lambda": {"Arn": arn}})
    try:
        context = call.world.job_context(call.name, call.stop, arn, {})
        answer = run_lambda(arn, dict(call.arguments), context)
    except JobStopped:
        raise StepStopped from None
    except JobFailed as failure:
        raise StepFailed(failure.reason, kind=failure.kind, last_lines=failure.last_lines) from None
    outputs = declared_outputs(call.step.output_parameters, answer)
    listed = [{"Name": name, "Value": as_text(value)} for name, value in outputs.items()]
    call.report({"Lambda": {"Arn": arn, "OutputParameters": listed}})
    return Outcome({"OutputParameters": outputs})


def declared_outputs(declared: Mapping[str, str], answer: Any) -> dict[str, Any]:
    """Return the declared outputs out of a function's answer.

    Raises:
        StepFailed: the answer lacks one, or one is of another type.
    """
    if declared and not isinstance(answer, Mapping):
        raise StepFailed(
            f"the function's answer: expected an object with {', '.join(declared)}, got {answer!r}"
        )
    outputs = {}
    for name, type_ in declared.items():
        if name not in answer:
            raise StepFailed(
                f"the function's answer has no {name!r}; it has {', '.join(map(str, answer)) or 'none'}"
            )
        value = answer[name]
        # A boolean is an int to Python, not to the service.
        if not isinstance(value, _PYTHON_TYPES[type_]) or isinstance(value, bool) != (type_ == "Boolean"):
            raise StepFailed(f"the function's answer: {name}: expected the type {type_}, got {value!r}")
        outputs[name] = value
    return outputs
