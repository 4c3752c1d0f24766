"""Whose AWS credentials these are. Needs boto3 and PyYAML, like all that asks AWS (cli.py sees to that)."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import boto3
from botocore import exceptions
from botocore.config import Config

from mlops_workbench.delivery.project import Project

from .looking import Finding, note, ok, problem, within
from .network import project_value

SIGN_IN = "aws sso login, or choose other credentials: export AWS_PROFILE=NAME"
SANDBOX = 'eval "$(mlops-sandbox env)"'
UNREACHABLE = (
    exceptions.EndpointConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.ReadTimeoutError,
    exceptions.ProxyConnectionError,
    exceptions.ConnectionClosedError,
    TimeoutError,
)
EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
SIGN_IN_ERRORS = (
    exceptions.UnauthorizedSSOTokenError,
    exceptions.SSOTokenLoadError,
    exceptions.TokenRetrievalError,
    exceptions.CredentialRetrievalError,
)


class Quick:
    """A boto3 session whose clients give up soon: what cannot be reached is said at once."""

    def __init__(self, region: str) -> None:
        self._session: Any = boto3.Session(region_name=region)
        self._config = Config(connect_timeout=2, read_timeout=4, retries={"total_max_attempts": 1})

    def client(self, service: str, config: Any = None) -> Any:
        """A client; `config` of whoever asks for it is left aside."""
        return self._session.client(service, config=self._config)

    def get_credentials(self) -> Any:
        """The credentials, None when there are none."""
        return self._session.get_credentials()


class Caller(NamedTuple):
    """What is known of the credentials; without `account` AWS cannot be asked anything."""

    findings: list[Finding]
    account: str | None = None
    session: Quick | None = None


def look(project: Project) -> Caller:
    """Whose they are, or why that is not known."""
    lines = [*_elsewhere(), *_region(project.region)]
    try:
        session = Quick(project.region)
        credentials = within(session.get_credentials)
        if credentials is None:
            text = "credentials: found none; make local and make test need none"
            return Caller([*lines, note(text, f"{SIGN_IN}; for the sandbox: {SANDBOX}")])
        identity = within(session.client("sts").get_caller_identity)
    except Exception as error:  # boto3's errors have no common base
        return Caller([*lines, refused(error)])
    account, arn = identity["Account"], identity["Arn"]
    return Caller([*lines, _whose(project, account, arn, _production(project))], account, session)


def _elsewhere() -> list[Finding]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    # A shell that was given to the sandbox stays so until it is closed, and looks like any other.
    if endpoint is None:
        return []
    return [note(f"not AWS itself: AWS_ENDPOINT_URL leads to {endpoint}", "to leave it, open another shell")]


def _region(wanted: str) -> list[Finding]:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        found = os.environ.get(name)
        if found and found != wanted:
            text = f"region: {name} is {found}; the commands here use config/project.yaml's, {wanted}"
            return [note(text, f"export {name}={wanted}")]
        if found:
            break
    return [ok(f"region: {wanted} (config/project.yaml)")]


def _whose(project: Project, account: str, arn: str, production: str | None) -> Finding:
    words = f"credentials: account {account}, as {arn}"
    if account == project.shared_services:
        return ok(f"{words}: shared services, as config/project.yaml says")
    if account == production:
        text = f"{words}: production; register and publish want shared services, {project.shared_services}"
        return note(text, "export AWS_PROFILE=NAME")
    expected = f"expected {project.shared_services} (config/project.yaml: accounts.shared_services)"
    return problem(f"{words}: {expected}", "export AWS_PROFILE=NAME")


def _production(project: Project) -> str | None:
    return project_value(project.root, "production")


def refused(error: Exception) -> Finding:
    """Why AWS does not say whose they are."""
    words = " ".join(str(error).split())
    if isinstance(error, exceptions.ProfileNotFound):
        return problem(f"credentials: {words}", "aws configure list-profiles, then: export AWS_PROFILE=NAME")
    if isinstance(error, exceptions.NoCredentialsError):
        return note("credentials: found none", SIGN_IN)
    if isinstance(error, SIGN_IN_ERRORS):
        return problem(f"credentials: {words}", "aws sso login")
    if isinstance(error, UNREACHABLE):
        if os.environ.get("AWS_ENDPOINT_URL"):
            text = f"credentials: the sandbox does not answer: {words}"
            return problem(text, "make sandbox; or, for AWS itself: unset AWS_ENDPOINT_URL")
        text = f"credentials: AWS was not reached, so it is not known whose they are: {words}"
        return note(text, "check the network, the VPN and HTTPS_PROXY")
    if isinstance(error, exceptions.SSLError):
        text = f"credentials: AWS's certificate is not trusted here: {words}"
        return problem(text, "export AWS_CA_BUNDLE=FILE, with your organisation's certificates")
    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in EXPIRED:
            return problem(f"credentials: expired or unknown to AWS: {words}", SIGN_IN)
        if code in ("SignatureDoesNotMatch", "RequestTimeTooSkewed", "RequestExpired"):
            return problem(
                f"credentials: AWS refuses the signature: {words}",
                f"a wrong secret key, or a wrong clock; {SIGN_IN}",
            )
    return problem(f"credentials: {words}", SIGN_IN)
