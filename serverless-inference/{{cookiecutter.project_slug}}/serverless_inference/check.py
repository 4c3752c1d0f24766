"""Is everything there that a deployment needs? Answers on a laptop, before a push."""

from dataclasses import dataclass

import botocore.exceptions

from configuration.errors import UserError
from release import registry
from release.aws import Session, caller, session
from release.environments import ENVIRONMENTS

from .config import Environment, Settings

_MARKS = {True: "ok     ", False: "PROBLEM", None: "note   "}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        good: True: in order; False: a deployment would fail; None: could not be looked at from here.
        text: what was found, for a person.
    """

    good: bool | None
    text: str

    def __str__(self) -> str:
        """The line that a person reads."""
        return f"{_MARKS[self.good]}  {self.text}"


def check(settings: Settings) -> list[Finding]:
    """Look at the configuration, valid in itself, and at the model registry if there are credentials."""
    return [
        Finding(True, "config/project.yaml and config/endpoint.yaml are valid"),
        *(_environment(settings, name) for name in ENVIRONMENTS),
        _model(settings),
    ]


def _environment(settings: Settings, name: str) -> Finding:
    wanted = settings.environment(name)
    where = f"{name}: endpoint {settings.endpoint_name(name)} in account {settings.account(name)}"
    if not wanted.enabled:
        return Finding(None, f"{where} is not enabled: if it is there, the next deployment takes it down")
    requests = len(settings.smoke_test(name).requests)
    return Finding(True, f"{where}, {_size(wanted)}; {requests} smoke-test request(s)")


def _size(wanted: Environment) -> str:
    warm = wanted.provisioned_concurrency
    kept = f", {warm.minimum} to {warm.maximum} kept warm" if warm else ""
    return f"{wanted.memory_mb} MB, at most {wanted.max_concurrency} request(s) at a time{kept}"


def _model(settings: Settings) -> Finding:
    group = settings.endpoint.model_package_group
    try:
        own = _own(settings)
        if own is None:
            return Finding(
                None, f"model package group {group}: not looked at, as there are no AWS credentials"
            )
        found = caller(own)
        wanted = settings.project.accounts.shared_services
        if found.account != wanted:
            text = f"not looked at, as the AWS credentials are account {found.account}'s and not {wanted}'s"
            return Finding(None, f"model package group {group}: {text}")
        package = registry.newest_approved(own.client("sagemaker"), group)
        if package is None:
            return Finding(
                None, f"model package group {group}: no version is approved yet: nothing to deploy"
            )
        if problem := registry.archive_problem(own.client("s3"), package):
            return Finding(False, problem)
    except UserError as error:
        return Finding(False, str(error))
    return Finding(True, f"model package group {group}: version {package.number} is the newest approved one")


def _own(settings: Settings) -> Session | None:
    try:
        found = session(settings.project.region)
        return found if found.get_credentials() else None
    except botocore.exceptions.BotoCoreError as error:  # e.g. AWS_PROFILE names a profile that does not exist
        raise UserError(f"AWS credentials: {error}") from error
