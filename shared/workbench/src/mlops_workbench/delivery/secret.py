"""The secret that Bitbucket signs its webhook with: made here, kept in Secrets Manager, shown to nobody."""

import json
import secrets
from typing import Any

from botocore.exceptions import ClientError

from .aws import code
from .foundation import Foundation
from .project import Project

BYTES = 32


def name(foundation: Foundation, project: Project) -> str:
    """The secret's name, by which the bridge finds it from the webhook's address."""
    return foundation.webhook_secret_prefix + project.repository


def exists(manager: Any, foundation: Foundation, project: Project) -> bool:
    """Whether there is one."""
    try:
        return "DeletedDate" not in manager.describe_secret(SecretId=name(foundation, project))
    except ClientError as error:
        if code(error) == "ResourceNotFoundException":
            return False
        raise


def ensure(manager: Any, foundation: Foundation, project: Project) -> str:
    """The secret, made if there is none for this repository of this Bitbucket project."""
    secret_name = name(foundation, project)
    new = {"secret": secrets.token_hex(BYTES), "project": project.bitbucket_project}
    try:
        manager.create_secret(
            Name=secret_name,
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
        kept = json.loads(manager.get_secret_value(SecretId=secret_name)["SecretString"])
    except ValueError:
        kept = {}
    if isinstance(kept, dict) and kept.get("secret") and kept.get("project") == project.bitbucket_project:
        return str(kept["secret"])
    manager.put_secret_value(SecretId=secret_name, SecretString=json.dumps(new))
    return new["secret"]


def remove(manager: Any, foundation: Foundation, project: Project) -> None:
    """Removes it at once: a secret made at random is worth nothing later, and its name is free again."""
    manager.delete_secret(SecretId=name(foundation, project), ForceDeleteWithoutRecovery=True)
