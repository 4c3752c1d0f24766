"""AWS as registering needs it: clients, what the foundation says of itself, and the webhook's secret.

The foundation describes itself in one parameter. The secret that Bitbucket signs its webhook with is made
here, kept in Secrets Manager, and shown to nobody.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from configuration import UserError

from .project import Project

FOUNDATION_VERSION = 1
SECRET_BYTES = 32

Session = Any  # boto3 has no types of its own


def session(project: Project) -> Session:
    """The person's own credentials, in the Region of the project.

    Raises:
        UserError: the settings of AWS on this machine cannot be used.
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
        raise UserError(f"{what}: {error}") from error


class Foundation(NamedTuple):
    """The part of the parameter that registering, and the doctor, need."""

    region: str
    shared_services_account_id: str
    state_bucket: str
    source_bucket: str
    kms_key_arn: str
    bitbucket_hosting: str
    webhook_url: str | None
    webhook_secret_prefix: str
    publisher_role_arn: str | None
    production_account_id: str | None = None
    permissions_boundary_arn: str | None = None
    notifications_topic_arn: str | None = None


def find_foundation(project: Project, aws: Session) -> Foundation | None:
    """What the foundation says about itself; None when there is none.

    Raises:
        UserError: nobody may look, it is of another version, or something is missing.
    """
    name = project.foundation_parameter
    with plain_errors(f"parameter {name}"):
        try:
            answer = client(aws, "ssm").get_parameter(Name=name)
        except ClientError as error:
            if code(error) == "ParameterNotFound":
                return None
            raise
    return _parse(name, answer["Parameter"]["Value"])


def _parse(parameter: str, text: str) -> Foundation:
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UserError(f"{parameter}: expected a JSON object, got {text[:60]!r}")
    if document.get("version") != FOUNDATION_VERSION:
        raise UserError(
            f"{parameter}: expected version {FOUNDATION_VERSION}, got {document.get('version')!r}; "
            "bring this repository or the foundation up to date"
        )
    optional = {"webhook_url", "publisher_role_arn", *Foundation._field_defaults}
    missing = [key for key in Foundation._fields if key not in optional and not document.get(key)]
    if missing:
        raise UserError(
            f"{parameter}: expected {', '.join(missing)}, got nothing; apply the foundation again"
        )
    values: dict[str, Any] = {key: document.get(key) for key in Foundation._fields}
    return Foundation(**values)


def secret_name(foundation: Foundation, project: Project) -> str:
    """The secret's name, by which the bridge finds it from the webhook's address."""
    return foundation.webhook_secret_prefix + project.repository


def secret_exists(manager: Any, foundation: Foundation, project: Project) -> bool:
    """Whether there is one."""
    try:
        return "DeletedDate" not in manager.describe_secret(SecretId=secret_name(foundation, project))
    except ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return False
        raise


def ensure_secret(manager: Any, foundation: Foundation, project: Project) -> str:
    """The secret, made if there is none for this repository of this Bitbucket project."""
    name = secret_name(foundation, project)
    new = {"secret": secrets.token_hex(SECRET_BYTES), "project": project.bitbucket_project}
    try:
        manager.create_secret(
            Name=name,
            Description=f"Signs the webhook of {project.bitbucket_project}/{project.repository}",
            KmsKeyId=foundation.kms_key_arn,
            SecretString=json.dumps(new),
            Tags=[{"Key": key, "Value": value} for key, value in project.tags.items()],
        )
        return new["secret"]
    except ClientError as error:
        if code(error) != "ResourceExistsException":
            raise
    try:
        kept = json.loads(manager.get_secret_value(SecretId=name)["SecretString"])
    except ValueError:
        kept = {}
    if isinstance(kept, dict) and kept.get("secret") and kept.get("project") == project.bitbucket_project:
        return str(kept["secret"])
    manager.put_secret_value(SecretId=name, SecretString=json.dumps(new))
    return new["secret"]


def remove_secret(manager: Any, foundation: Foundation, project: Project) -> None:
    """Removes it at once: a secret made at random is worth nothing later, and its name is free again."""
    manager.delete_secret(SecretId=secret_name(foundation, project), ForceDeleteWithoutRecovery=True)
