"""The two environments that a repository deploys to; a build enters one in a deployment role."""

import json
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError
from configuration.project import ProjectConfig

from .aws import Session, assumed, code, plain_errors

STAGING, PRODUCTION = ENVIRONMENTS = ("staging", "production")
FOUNDATION_VERSION = 1


class State(NamedTuple):
    """Where an environment's Terraform state is, and who may read it."""

    bucket: str
    key: str
    region: str
    role_arn: str


class Place(NamedTuple):
    """An environment, entered.

    Attributes:
        environment: staging or production.
        session: acts as the deployment role.
        role_arn: of that role; Terraform assumes it by itself.
        state: where Terraform's state of this environment is.
    """

    environment: str
    session: Session
    role_arn: str
    state: State

    def client(self, service: str) -> Any:
        """A client of the deployment role."""
        return self.session.client(service)


def role_name(prefix: str, environment: str) -> str:
    """The deployment role, by the foundation's convention."""
    return f"{prefix}-deployment" if environment == PRODUCTION else f"{prefix}-deployment-{environment}"


def account_of(project: ProjectConfig, environment: str) -> str:
    """The AWS account that an environment is in."""
    accounts = project.accounts
    return accounts.production if environment == PRODUCTION else accounts.shared_services


def enter(project: ProjectConfig, own: Session, environment: str) -> Place:
    """Assumes the deployment role and asks the foundation where the state is.

    Raises:
        UserError: the role does not let this build in, or there is no foundation.
    """
    account = account_of(project, environment)
    role_arn = f"arn:{project.partition}:iam::{account}:role/{role_name(project.prefix, environment)}"
    session = assumed(own, role_arn, f"{project.slug}-{environment}"[:64])
    parameter = f"/{project.prefix}/foundation-{environment}"
    with plain_errors(f"{role_arn}: parameter {parameter}"):
        try:
            text = session.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
        except ClientError as error:
            if code(error) == "ParameterNotFound":
                raise UserError(
                    f"Parameter {parameter} is not in account {account}: a platform engineer applies the "
                    "foundation once per organisation"
                ) from None
            raise
    foundation = json.loads(text)
    if foundation.get("version") != FOUNDATION_VERSION:
        raise UserError(
            f"{parameter}: expected version {FOUNDATION_VERSION}, got {foundation.get('version')!r}; "
            "bring this repository or the foundation up to date"
        )
    key = f"{foundation['state_key_prefix']}{project.slug}/{environment}.tfstate"
    return Place(
        environment, session, role_arn, State(foundation["state_bucket"], key, project.region, role_arn)
    )
