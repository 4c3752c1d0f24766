"""Which roles a call hands to a service: each needs ``iam:PassRole``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlops_workbench.sandbox.access.calls import Call

#: service -> the principal that gets the role, the calls, and where in their parameters roles are.
_PASSED: dict[str, tuple[str, frozenset[str], tuple[str, ...]]] = {
    "codebuild": (
        "codebuild.amazonaws.com",
        frozenset({"CreateProject", "UpdateProject", "StartBuild"}),
        ("serviceRole", "serviceRoleOverride"),
    ),
    "codepipeline": (
        "codepipeline.amazonaws.com",
        frozenset({"CreatePipeline", "UpdatePipeline"}),
        ("pipeline.roleArn", "pipeline.stages.actions.roleArn"),
    ),
    "events": (
        "events.amazonaws.com",
        frozenset({"PutRule", "PutTargets"}),
        ("RoleArn", "Targets.RoleArn"),
    ),
    "lambda": (
        "lambda.amazonaws.com",
        frozenset({"CreateFunction", "UpdateFunctionConfiguration"}),
        ("Role",),
    ),
    "sagemaker": (
        "sagemaker.amazonaws.com",
        frozenset(
            {
                "CreateEndpointConfig",
                "CreateModel",
                "CreatePipeline",
                "CreateProcessingJob",
                "CreateTrainingJob",
                "UpdatePipeline",
            }
        ),
        ("RoleArn", "ExecutionRoleArn"),
    ),
}


def passed_roles(call: Call) -> list[tuple[str, str]]:
    """Return (role ARN, service principal) for each role that a call passes on."""
    if call.service not in _PASSED:
        return []
    service, operations, paths = _PASSED[call.service]
    if call.operation not in operations:
        return []
    return [
        (role, service) for path in paths for role in dict.fromkeys(_values(call.params, path.split(".")))
    ]


def _values(params: Any, path: list[str]) -> Iterable[str]:
    if isinstance(params, list):
        for each in params:
            yield from _values(each, path)
    elif isinstance(params, dict) and path:
        yield from _values(params.get(path[0]), path[1:])
    elif isinstance(params, str) and not path:
        yield params
