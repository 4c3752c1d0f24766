"""AWS clients of this repository's account, and their errors as a person's lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .errors import DeliveryError
from .project import Project

Session = Any  # boto3 has no types of its own


def session(project: Project) -> Session:
    """The person's own credentials, in the Region of the project.

    Raises:
        DeliveryError: the settings of AWS on this machine cannot be used.
    """
    with plain_errors("AWS settings"):
        return boto3.Session(region_name=project.region)


def client(aws: Session, service: str) -> Any:
    """A client that gives up soon: somebody waits for it."""
    return aws.client(
        service, config=Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 3})
    )


def code(error: ClientError) -> str:
    """AWS's name for an error, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turns what boto3 raises into one line that begins with `what` was tried."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise DeliveryError(f"{what}: {error}") from error
