"""People's decisions: compare, approve and reject a version, with all that speaks for and against it."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configuration.command_line import agreed
from configuration.errors import UserError

from . import aws, registry
from .aws import Clients
from .config import Settings
from .registry import APPROVED, PENDING, REJECTED, Version
from .results import beside, report_folder

LONGEST = 1024  # characters of an ApprovalDescription


def compare(settings: Settings, clients: Clients, number: int | None) -> int:
    """Show a version beside the live one; the exit status."""
    project = settings.project
    version = registry.find(project, clients.sagemaker, number)
    show(settings, clients, version)
    return 0


def approve(
    settings: Settings, clients: Clients, number: int | None, *, who: str, comment: str, yes: bool
) -> int:
    """Show a version, say what follows, ask, approve it; the exit status."""
    version = registry.find(settings.project, clients.sagemaker, number)
    _refuse_to_approve(version, registry.approved(settings.project, clients.sagemaker))
    show(settings, clients, version)
    print(
        f"\nApproving version {version.number} starts the deployment of every repository that follows this "
        "group: staging first, proven there; production asks again."
    )
    if not agreed(f"Approve version {version.number}? [y/N] ", yes=yes):
        return 1
    _decide(clients.sagemaker, version, APPROVED, who, comment)
    return 0


def reject(
    settings: Settings, clients: Clients, number: int | None, *, who: str, reason: str, yes: bool
) -> int:
    """Show a version, say what follows, ask, reject it; the exit status."""
    version = registry.find(settings.project, clients.sagemaker, number)
    if version.status == REJECTED:
        raise UserError(
            f"version {version.number} is rejected already: {version.decision or 'no reason was given'}"
        )
    show(settings, clients, version)
    print(f"\n{_what_rejecting_does(version, registry.approved(settings.project, clients.sagemaker))}")
    if not agreed(f"Reject version {version.number} ({reason})? [y/N] ", yes=yes):
        return 1
    _decide(clients.sagemaker, version, REJECTED, who, reason)
    return 0


def show(settings: Settings, clients: Clients, version: Version) -> None:
    """Print what is known about a version, and where its report is."""
    live = next(iter(registry.approved(settings.project, clients.sagemaker)), None)
    evaluation = aws.read_json(clients.s3, version.evaluation_uri) if version.evaluation_uri else None
    print("\n".join(beside(version, evaluation, live)))
    report = _fetch_report(settings.root, clients.s3, version)
    print(f"\nReport: {report or 'not there any more'}")


def this_user() -> str:
    """Who decides in a sandbox, which knows no people: the user of this machine."""
    return f"{getpass.getuser()}, in the sandbox"


def description(status: str, who: str, reason: str) -> str:
    """What ApprovalDescription keeps: the decision, who, when (UTC), and why; on one line."""
    text = f"{status} by {who} at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    why = " ".join(reason.split())
    return (f"{text}: {why}" if why else text)[:LONGEST]


def _decide(sagemaker: Any, version: Version, status: str, who: str, reason: str) -> None:
    text = description(status, who, reason)
    with aws.explained(f"version {version.number}"):
        sagemaker.update_model_package(
            ModelPackageArn=version.arn, ModelApprovalStatus=status, ApprovalDescription=text
        )
    print(f"version {version.number}: {text}")


def _refuse_to_approve(version: Version, approved: list[int]) -> None:
    """Stop where approving makes no sense.

    Raises:
        UserError: with what to do instead.
    """
    if version.status == APPROVED:
        raise UserError(f"version {version.number} is approved already. {version.decision}".strip())
    if version.described["ModelPackageStatus"] != "Completed":
        raise UserError(
            f"version {version.number}: expected the status Completed, got "
            f"{version.described['ModelPackageStatus']}: SageMaker could not make it; train again"
        )
    newer = [number for number in approved if number > version.number]
    if newer:
        reject = ", then ".join(f"`make reject ARGS='{number} --reason …'`" for number in newer)
        raise UserError(
            f"version {version.number} would not become live: version {newer[0]} is approved and newer. "
            f"To go back to {version.number}: {reject}, then approve it"
        )


def _what_rejecting_does(version: Version, approved: list[int]) -> str:
    if version.status == PENDING:
        return f"Version {version.number} waits for approval: rejecting it changes nothing that is live."
    if version.number != approved[0]:
        return (
            f"Version {version.number} is not live (version {approved[0]} is): rejecting it deploys nothing."
        )
    others = [number for number in approved if number != version.number]
    if others:
        return (
            f"Version {version.number} is live: rejecting it brings version {others[0]} back, in staging at "
            "once, in production when somebody agrees there."
        )
    return (
        f"Version {version.number} is live and no other is approved: rejecting it takes nothing down. It "
        "serves on, and an alarm says so until a version is approved or the deployment is switched off."
    )


def _fetch_report(root: Path, s3: Any, version: Version) -> Path | None:
    """Bring report.html to this machine, where a browser opens it; None if it is not there any more."""
    uri = version.metadata.get("report_uri")
    if not uri:
        return None
    content = aws.read(s3, uri)
    if content is None:
        return None
    target = report_folder(root, version.execution_arn or f"version-{version.number}") / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target.relative_to(root) if target.is_relative_to(root) else target
