"""A model's archive, fetched as its execution role, with the messages that SageMaker gives when it cannot be.

[read] in reports of these messages by users of CreateModel and CreateEndpoint.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.jobs import s3

_MISSING = ("NoSuchKey", "NoSuchBucket", "404")


class NoModelData(Exception):
    """The archive is not there or may not be read; the message is a FailureReason."""


def fetch(client: Any, uri: str, role_arn: str | None, region: str, path: Path) -> None:
    """Write an archive to a file.

    Raises:
        NoModelData: it is not there, or the role may not read it.
    """
    body = _get(client, uri, role_arn, region)
    with path.open("wb") as file:
        shutil.copyfileobj(body, file)


def check(client: Any, uri: str, role_arn: str | None, region: str) -> None:
    """Check that an archive is there and may be read.

    Raises:
        NoModelData: it is not, or may not.
    """
    _get(client, uri, role_arn, region, Range="bytes=0-0").close()


def _get(client: Any, uri: str, role_arn: str | None, region: str, **more: str) -> Any:
    bucket, key = s3.split(uri)
    try:
        return client.get_object(Bucket=bucket, Key=key, **more)["Body"]
    except ClientError as error:
        details = error.response["Error"]
        if details.get("Code") in _MISSING:
            raise NoModelData(f"Could not find model data at {uri}.") from None
        raise NoModelData(no_access(uri, role_arn, region, details)) from None


def no_access(uri: str, role_arn: str | None, region: str, details: Any) -> str:
    """Return the message for an archive that the role may not read, with what S3 said."""
    return (
        f'Could not access model data at {uri}. Please ensure that the role "{role_arn}" exists and that its '
        'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
        '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
        f"object is located in {region}. ({details.get('Code')}: {details.get('Message')})"
    )
