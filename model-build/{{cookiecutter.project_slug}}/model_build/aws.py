"""Sessions with AWS, and what AWS refuses as a person's line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from configuration import UserError

from .assets import split_uri


class Clients(NamedTuple):
    """What reaches AWS, or the sandbox."""

    sagemaker: Any
    s3: Any


def session(region: str) -> Any:
    """A boto3 session with the credentials of whoever runs this."""
    import boto3  # 0.2 s, and most commands need none

    return boto3.Session(region_name=region)


def caller(own: Any, account: str) -> str:
    """Whose credentials a session has, by the end of their ARN.

    Raises:
        UserError: they are of another account, or none.
    """
    with explained("AWS credentials"):
        found = own.client("sts").get_caller_identity()
    if found["Account"] != account:
        raise UserError(
            f"AWS credentials: expected account {account} (shared services), got account {found['Account']} "
            f"({found['Arn']}); choose other credentials, for example with AWS_PROFILE"
        )
    return str(found["Arn"]).rsplit(":", 1)[-1]


@contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn errors of the service into a UserError that names what was being done."""
    try:
        yield
    except NoCredentialsError as error:
        raise UserError(
            "no AWS credentials: sign in (for example `aws sso login`) and set AWS_PROFILE, then try again; "
            "`make local` needs none"
        ) from error
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"{subject}: {error}") from error


def code(error: ClientError) -> str:
    """AWS's name for an error, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))


def read(s3: Any, uri: str) -> bytes | None:
    """An object's content; None if it is not there (any more).

    Raises:
        UserError: it may not be read.
    """
    bucket, key = split_uri(uri)
    with explained(uri):
        try:
            content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            if code(error) in ("NoSuchKey", "NoSuchBucket"):
                return None
            raise
    return content


def read_json(s3: Any, uri: str) -> dict[str, Any] | None:
    """A JSON document in S3; None if it is not there (any more).

    Raises:
        UserError: it may not be read.
    """
    content = read(s3, uri)
    return None if content is None else dict(json.loads(content))


def holds_objects(s3: Any, uri: str) -> bool:
    """Whether anything is below a URI.

    Raises:
        ClientError, BotoCoreError: it cannot be said.
    """
    bucket, prefix = split_uri(uri)
    return bool(s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))
