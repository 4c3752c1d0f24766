"""SageMaker acting as a role: whose keys a job has, and what a pipeline needs to start one.

A pipeline's steps make no requests of their own here, so what CreateTrainingJob and its like would ask of
the pipeline's role is asked in ``check_start``. Only with ``enforce_iam``: without it jobs act as their
account, and the roles that a definition names need not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from mlops_workbench.sandbox import credentials
from mlops_workbench.sandbox.access.decide import check_role
from mlops_workbench.sandbox.access.sessions import role_environment
from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.session import current

SAGEMAKER = "sagemaker.amazonaws.com"
_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")
#: [read] "SageMaker AI roles": what pulling an image from a private registry takes.
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")


def environment(
    account: str, region: str, role_arn: str | None, session_name: str, source_arn: str
) -> dict[str, str]:
    """Return the AWS_* variables of a job or a pipeline.

    Args:
        account: of the job.
        region: of the job.
        role_arn: that it has; None for none.
        session_name: the job's or the execution's name.
        source_arn: the job's or the pipeline's ARN, which trust policies may name.

    Raises:
        AccessDenied: roles are enforced, and there is no such role, or it does not trust SageMaker.
    """
    sandbox = current()
    if role_arn and sandbox.enforce_iam:
        return role_environment(role_arn, SAGEMAKER, region, session_name, source_arn=source_arn)
    return credentials.environment(account, region, sandbox.endpoint_url)


def job_environment(account: str, region: str, request: Mapping[str, Any], arn: str) -> dict[str, str]:
    """Return the AWS_* variables of a job: its own role's, or, for batch transform, its model's.

    Raises:
        AccessDenied: roles are enforced, and the role cannot be had.
    """
    role = request.get("RoleArn")
    if model := request.get("ModelName"):
        known: Any = sagemaker_backends[account][region]._models.get(model)
        role = known.description.get("ExecutionRoleArn") if known else None
    try:
        return environment(account, region, role, arn.rsplit("/", 1)[-1], arn)
    except AccessDenied as denied:
        raise AccessDenied(f"Could not assume role {role}: {denied}") from None


def check_start(
    role_arn: str, session_name: str, call: str, job_arn: str, request: Mapping[str, Any]
) -> None:
    """Check what a pipeline's role needs to start a job, and what the job's role needs to begin.

    Args:
        role_arn: of the pipeline.
        session_name: the execution's id.
        call: such as ``CreateTrainingJob``; ``Invoke`` for a Lambda function.
        job_arn: of the job, or of the function.
        request: of the call.

    Raises:
        AccessDenied: it may not; with AWS's message.
    """
    if not current().enforce_iam:
        return
    region = job_arn.split(":")[3]
    action = "lambda:InvokeFunction" if call == "Invoke" else f"sagemaker:{call}"
    check_role(role_arn, session_name, action, job_arn, region)
    if request.get("Tags"):
        check_role(role_arn, session_name, "sagemaker:AddTags", job_arn, region)
    passed = request.get("RoleArn")
    if passed:
        more = {"iam:PassedToService": SAGEMAKER}
        check_role(role_arn, session_name, "iam:PassRole", passed, region, more)
        for image in _images(request):
            check_pull(passed, job_arn.rsplit("/", 1)[-1], image, region)


def check_pull(role_arn: str | None, session_name: str, image: str, region: str) -> None:
    """Check that a role may pull an image of a private registry; other images need no permission.

    Raises:
        AccessDenied: roles are enforced, and it may not.
    """
    found = _IMAGE.match(image)
    if not (found and role_arn and current().enforce_iam):
        return
    owner, its_region, name = found.groups()
    repository = f"arn:aws:ecr:{its_region}:{owner}:repository/{name}"
    for action in _PULL:
        # AWS's own registries admit everybody; whether another account's does is not known here.
        check_role(role_arn, session_name, action, repository, region, admitted=True)


def _images(request: Mapping[str, Any]) -> Iterator[str]:
    for part, key in (("AlgorithmSpecification", "TrainingImage"), ("AppSpecification", "ImageUri")):
        yield str((request.get(part) or {}).get(key) or "")
