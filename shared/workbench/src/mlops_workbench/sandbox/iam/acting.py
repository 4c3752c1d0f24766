"""Services that act as a role: temporary keys, and clients with them.

They are CodeBuild, CodePipeline, Lambda, event targets, and SageMaker. Of SageMaker also whose keys a job
has, and what a pipeline needs to start one. A pipeline's steps make no requests of their own here, so what
CreateTrainingJob and its like would ask of the pipeline's role is asked in ``check_start``. Only with
``enforce_iam``: without it jobs act as their account, and the roles that a definition names need not
exist.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.sagemaker.models import sagemaker_backends
from moto.sts.models import AssumedRole, sts_backends

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.iam import policies
from mlops_workbench.sandbox.iam.decide import check_role
from mlops_workbench.sandbox.session import current

#: AWS renews the keys of what runs for longer; here they last as long as anything runs on one machine.
DURATION = timedelta(hours=12)
#: Keys with less time left than this are not handed out again.
_MARGIN = timedelta(minutes=15)
SAGEMAKER = "sagemaker.amazonaws.com"
_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)")
#: [read] "SageMaker AI roles": what pulling an image from a private registry takes.
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
CODEBUILD = "codebuild.amazonaws.com"
CODEPIPELINE = "codepipeline.amazonaws.com"


class _Sessions:
    """The roles' sessions of an open sandbox, by role, service, Region and name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.by_use: dict[tuple[str, str, str, str], AssumedRole] = {}


def role_environment(
    role_arn: str, service: str, region: str, session_name: str, *, source_arn: str | None = None
) -> dict[str, str]:
    """Return the environment of a process that a service runs as a role, all of it that AWS clients read.

    Args:
        role_arn: of any account of the sandbox.
        service: the principal, such as ``codebuild.amazonaws.com``.
        region: what the clients use by default.
        session_name: the last part of the caller's ARN, which CloudTrail and error messages show.
        source_arn: the resource that the service acts for, which a trust policy may ask for by
            ``aws:SourceArn``; without it such a condition is not looked at.

    Raises:
        AccessDenied: there is no such role, or its trust policy does not admit the service.
        SandboxError: no sandbox is open.
    """
    session = assume(role_arn, service, region, session_name, source_arn=source_arn)
    account = policies.account_of(role_arn)
    return {
        **clients.environment(account, region, current().endpoint_url),
        "AWS_ACCESS_KEY_ID": session.access_key_id,
        "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
        "AWS_SESSION_TOKEN": session.session_token,
    }


def assume(
    role_arn: str, service: str, region: str, session_name: str, *, source_arn: str | None = None
) -> AssumedRole:
    """Return a session of a role for a service: an earlier one while it lasts, else a new one.

    Raises:
        AccessDenied: there is no such role, or its trust policy does not admit the service.
    """
    policies.check_service(role_arn, service, source_arn)
    key = (role_arn, service, region, session_name)
    known = current().part(_Sessions)
    with known.lock:
        session = known.by_use.get(key)
        if session is None or session.expiration - utcnow() < _MARGIN:
            backend = sts_backends[policies.account_of(role_arn)][policies.PARTITION]
            session = backend.assume_role(
                region_name=region,
                role_session_name=session_name[:64],
                role_arn=role_arn,
                policy="",
                duration=int(DURATION.total_seconds()),
                external_id="",
            )
            known.by_use[key] = session
        return session


def as_role(service: str, role_arn: str, principal: str, region: str, session_name: str) -> Any:
    """Return a boto3 client with a role's temporary keys.

    Raises:
        AccessDenied: there is no such role, or it does not trust the principal.
    """
    return _client(service, role_environment(role_arn, principal, region, session_name))


def as_account(service: str, account: str, region: str) -> Any:
    """Return a boto3 client with an account's own key: a service whom a resource's policy lets in."""
    return _client(service, clients.environment(account, region, current().endpoint_url))


def _client(service: str, environment: Mapping[str, str]) -> Any:
    """Return a client that deliveries share: a thousand events need not make a thousand of the same."""
    return _shared(service, tuple(sorted(environment.items())))


@functools.lru_cache(maxsize=32)
def _shared(service: str, environment: tuple[tuple[str, str], ...]) -> Any:
    return clients.from_environment(service, dict(environment))


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
    return clients.environment(account, region, sandbox.endpoint_url)


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


class Role:
    """A role's session; its clients are made when they are asked for.

    ``source_arn`` is the project or pipeline that the service acts for, which trust policies may name.

    Raises:
        AccessDenied: the role does not exist, or does not trust the service.
    """

    def __init__(self, arn: str, service: str, region: str, session: str, source_arn: str) -> None:
        self.arn, self.region = arn, region
        self.environment = role_environment(arn, service, region, session, source_arn=source_arn)
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client that acts as the role."""
        key = (service, region or self.region)
        if key not in self._clients:
            self._clients[key] = clients.from_environment(service, self.environment, key[1])
        return self._clients[key]
