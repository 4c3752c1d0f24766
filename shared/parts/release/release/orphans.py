"""What an interrupted deployment has made without writing it into the state: taken in, not made again.

Only of the types whose names are fixed and taken; others are overwritten, or have a name of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from .aws import code, plain_errors
from .place import Place
from .terraform import New

MISSING = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchEntity",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "ValidationException",
    }
)

Look = Callable[[str], str | None]


def orphans(place: Place, made: Sequence[New], more: Mapping[str, Look] | None = None) -> dict[str, str]:
    """What a plan would make although it exists: address -> name.

    Args:
        place: the environment.
        made: what the plan makes.
        more: type of resource -> whether a name exists there, for types that only one template has.
    """
    looks: dict[str, Look] = {
        "aws_cloudwatch_log_group": lambda name: _log_group(place.client("logs"), name),
        "aws_iam_role": lambda name: _role(place.client("iam"), name),
        "aws_lambda_function": lambda name: found(place.client("lambda").get_function, FunctionName=name),
        "aws_s3_bucket": lambda name: found(place.client("s3").head_bucket, Bucket=name),
        "aws_sagemaker_pipeline": lambda name: found(
            place.client("sagemaker").describe_pipeline, PipelineName=name
        ),
        **(more or {}),
    }
    return {
        new.address: new.name
        for new in made
        if new.type in looks and new.name is not None and looks[new.type](new.name) is not None
    }


def found(look: Callable[..., Any], **name: str) -> str | None:
    """The name if a call that describes it succeeds; None when there is nothing of it."""
    (value,) = name.values()
    with plain_errors(value):
        try:
            look(**name)
        except ClientError as error:
            if code(error) in MISSING:
                return None
            raise
    return value


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
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((group["arn"] for group in groups if group["logGroupName"] == name), None)
