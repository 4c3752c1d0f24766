"""What an interrupted deployment leaves behind, put in order before the next one.

A build can be stopped, or run out of time, at any moment. What it may leave: a lock on the state that nobody
will release; an endpoint that is still being made or changed; one that has failed, which SageMaker lets
nobody update any more; and resources with fixed names that the state does not know, because the build ended
before it was written.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from configuration.errors import UserError

from .aws import code, plain_errors
from .place import Place
from .terraform import New, Root, lock_id

Say = Callable[[str], None]

ENDPOINT = "aws_sagemaker_endpoint.this[0]"
IN_TRANSITION = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
#: "DeleteEndpoint is the only operation that can be performed on a failed endpoint." [read] DescribeEndpoint
BEYOND_UPDATES = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
LONGEST_TRANSITION = 45 * 60  # seconds
MISSING = frozenset({"ValidationException", "NoSuchEntity", "ResourceNotFoundException"})


def release_stale_lock(root: Root, place: Place, other_builds: Callable[[], list[str]], say: Say) -> None:
    """Removes the state's lock, unless another build of this environment runs: Terraform waits for that."""
    key = f"{place.state.key}.tflock"
    try:
        body = place.client("s3").get_object(Bucket=place.state.bucket, Key=key)["Body"].read()
    except ClientError as error:
        if code(error) in ("NoSuchKey", "404"):
            return
        raise UserError(f"s3://{place.state.bucket}/{key}: {error}") from error
    found = lock_id(body.decode("utf-8", "replace"))
    if found is None:
        return
    running = other_builds()
    if running:
        say(f"Terraform's state is locked, and {', '.join(running)} runs: waiting for it")
        return
    say(f"Terraform's state was left locked ({found}) by a build that is gone: the lock is removed")
    root.unlock(found)


def running_builds(codebuild: Any, project: str, own_id: str | None) -> list[str]:
    """The builds of a project that are not over, but for this one."""
    with plain_errors(f"CodeBuild project {project}"):
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:20]
        others = [one for one in ids if one != own_id]
        builds = codebuild.batch_get_builds(ids=others)["builds"] if others else []
    return [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]


def settled_status(sagemaker: Any, name: str, say: Say) -> str | None:
    """The endpoint's status once nothing changes it any more; None when there is no endpoint.

    Raises:
        UserError: it does not come to rest within 45 minutes.
    """
    status = _status(sagemaker, name)
    if status in IN_TRANSITION:
        say(f"endpoint {name} is {status}, from a deployment before this one: waiting for its end")
    waited = 0
    while status in IN_TRANSITION:
        if waited >= LONGEST_TRANSITION:
            raise UserError(f"endpoint {name}: expected an end of {status} within 45 minutes, got none")
        time.sleep(10)
        waited += 10
        status = _status(sagemaker, name)
    return status


def orphans(place: Place, made: Sequence[New]) -> dict[str, str]:
    """What a plan would make although it exists: address -> name.

    Only of the types whose names are fixed; others are overwritten, or have a name of their own.
    """
    looks = {
        "aws_sagemaker_endpoint": lambda name: _status(place.client("sagemaker"), name),
        "aws_iam_role": lambda name: _role(place.client("iam"), name),
        "aws_cloudwatch_log_group": lambda name: _log_group(place.client("logs"), name),
    }
    return {
        new.address: new.name
        for new in made
        if new.type in looks and new.name is not None and looks[new.type](new.name) is not None
    }


def _role(iam: Any, name: str) -> str | None:
    with plain_errors(f"role {name}"):
        try:
            return str(iam.get_role(RoleName=name)["Role"]["Arn"])
        except ClientError as error:
            # "denied", too: a role that is not there has no path, and these credentials reach one path only
            if code(error) in MISSING | {"AccessDenied"}:
                return None
            raise


def _log_group(logs: Any, name: str) -> str | None:
    with plain_errors(f"log group {name}"):
        found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((group["arn"] for group in found if group["logGroupName"] == name), None)


def _status(sagemaker: Any, name: str) -> str | None:
    with plain_errors(f"endpoint {name}"):
        try:
            return str(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])
        except ClientError as error:
            if code(error) in MISSING:
                return None
            raise
