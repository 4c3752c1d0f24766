"""What `check` looks at: lines for a person, before a push."""

from dataclasses import dataclass

import botocore.exceptions

from configuration.errors import UserError
from configuration.project import ProjectConfig

from . import registry
from .aws import Session, caller, session

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


def shown(findings: list[Finding]) -> int:
    """Prints them; the exit status."""
    for finding in findings:
        print(finding)
    return 1 if any(finding.good is False for finding in findings) else 0


def newest_model(project: ProjectConfig, group: str, *, file: str) -> Finding:
    """Whether a version of the group that `file` names is approved and complete, as far as one may look."""
    what = f"model package group {group}"
    try:
        own = _own(project)
        if own is None:
            return Finding(None, f"{what}: not looked at, as there are no AWS credentials")
        found = caller(own)
        wanted = project.accounts.shared_services
        if found.account != wanted:
            text = f"not looked at, as the AWS credentials are account {found.account}'s and not {wanted}'s"
            return Finding(None, f"{what}: {text}")
        package = registry.newest_approved(own.client("sagemaker"), group, file=file)
        if package is None:
            return Finding(None, f"{what}: no version is approved yet: nothing to deploy")
        if problem := registry.archive_problem(own.client("s3"), package):
            return Finding(False, problem)
    except UserError as error:
        return Finding(False, str(error))
    return Finding(True, f"{what}: version {package.number} is the newest approved one")


def _own(project: ProjectConfig) -> Session | None:
    try:
        found = session(project.region)
        return found if found.get_credentials() else None
    except botocore.exceptions.BotoCoreError as error:  # e.g. AWS_PROFILE names a profile that does not exist
        raise UserError(f"AWS credentials: {error}") from error
