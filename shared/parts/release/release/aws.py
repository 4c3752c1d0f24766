"""Sessions with AWS, and what AWS says as a person's lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import boto3
import botocore.session
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from configuration import UserError

Session = Any  # boto3 has no types of its own

_SIGN_IN = "sign in again (aws sso login), or choose other credentials (AWS_PROFILE)"
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId"})


class Caller(NamedTuple):
    """Whose credentials these are."""

    account: str
    arn: str


def session(region: str) -> Session:
    """The credentials of whoever runs this: a person's, or a build's.

    Raises:
        UserError: the settings of AWS on this machine cannot be used.
    """
    with plain_errors("AWS settings"):
        return boto3.Session(region_name=region)


def assumed(own: Session, role_arn: str, name: str) -> Session:
    """A session that acts as a role, for longer than the hour that one set of credentials lasts.

    The role is assumed at the first call, whose error tells if that is not allowed.

    Args:
        own: the credentials that may assume the role.
        role_arn: of the role.
        name: of the session in CloudTrail; at most 64 characters.
    """
    source = botocore.session.get_session()
    fetcher = AssumeRoleCredentialFetcher(
        partial(source.create_client, region_name=own.region_name),
        own.get_credentials(),
        role_arn,
        extra_args={"RoleSessionName": name},
    )
    acting = botocore.session.get_session()
    acting.set_config_variable("region", own.region_name)
    # in the place of all other sources: nothing in the environment may win over the role
    acting.register_component("credential_provider", CredentialResolver([_Assumed(fetcher)]))
    return boto3.Session(botocore_session=acting)


def caller(own: Session) -> Caller:
    """Whose credentials a session has.

    Raises:
        UserError: there are none, or they are not valid.
    """
    with plain_errors("AWS credentials"):
        found = own.client("sts").get_caller_identity()
    return Caller(found["Account"], found["Arn"])


def stop_on_other_account(own: Session, wanted: str, whose: str) -> None:
    """Looks whose credentials these are before anything is read or written.

    Args:
        own: the credentials.
        wanted: the account that they have to be of.
        whose: what that account is, for the error.

    Raises:
        UserError: another account's, or none.
    """
    found = caller(own)
    if found.account != wanted:
        raise UserError(
            f"AWS credentials: expected account {wanted} ({whose}), got account {found.account} "
            f"({found.arn}); choose other credentials, for example with AWS_PROFILE"
        )


def code(error: ClientError) -> str:
    """AWS's name for an error, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Turns what boto3 raises into a line that begins with `what` was tried."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise UserError(f"{what}: {' '.join(str(error).split())}{_advice(error)}") from error


class _Assumed(CredentialProvider):
    """The only source of credentials of a session that acts as a role."""

    METHOD = "deployment-role"

    def __init__(self, fetcher: Any) -> None:
        super().__init__()
        self._fetcher = fetcher

    def load(self) -> Any:
        """Credentials that renew themselves shortly before they end."""
        return DeferredRefreshableCredentials(self._fetcher.fetch_credentials, self.METHOD)


def _advice(error: Exception) -> str:
    missing = isinstance(error, NoCredentialsError)
    if missing or (isinstance(error, ClientError) and code(error) in _EXPIRED):
        return f"; {_SIGN_IN}"
    return ""
