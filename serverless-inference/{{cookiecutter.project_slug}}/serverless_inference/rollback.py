"""Going back to an older version: the registry is told, and the pipeline does the rest.

The newest approved version is what serves. So a rollback approves the version that is wanted and rejects the
approved ones above it, the newest last: each change starts the pipeline, and only the last one changes its
answer.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from configuration import UserError
from configuration.command_line import agreed
from release import question, registry
from release.aws import plain_errors
from release.build import sign_in
from release.registry import APPROVED, Version

from .config import ENDPOINT_FILE, Settings

REJECTED = "Rejected"


class Change(NamedTuple):
    """A version that gets another approval status."""

    version: Version
    to: str

    def in_words(self) -> str:
        """For a person."""
        verb = "approve" if self.to == APPROVED else "reject"
        return f"{verb} version {self.version.number} ({self.version.approval} now)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command, but for --yes."""
    parser.add_argument("--to", type=int, required=True, metavar="N", help="the version that is to serve")
    parser.add_argument("--reason", default="", help="is kept with the versions")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """The command: shows what will be done, asks, does it.

    Raises:
        UserError: there is no such version, or these credentials may not.
    """
    own = sign_in(settings.project)
    sagemaker, codepipeline = own.client("sagemaker"), own.client("codepipeline")
    group, pipeline = settings.endpoint.model_package_group, settings.project.slug
    changes = plan(list(registry.versions(sagemaker, group, file=ENDPOINT_FILE)), group, options.to)
    if not changes:
        print(f"Version {options.to} is the newest approved one of {group} already: nothing to do.")
        return 0
    # A question about a newer version holds the pipeline up: what comes after waits until it is answered.
    asked = question.waiting(codepipeline, pipeline)
    words = [f"in {group}: {change.in_words()}" for change in changes]
    if asked is not None:
        words.append(f"answer no to the question that waits: {asked.summary}")
    print("\n".join(["This will be done:", *(f"  {number}. {word}" for number, word in enumerate(words, 1))]))
    print(f"The pipeline then deploys version {options.to} to staging, and asks about production.")
    if not agreed("Do it? [y/N] ", yes=options.yes):
        return 1
    reason = f"rolled back to version {options.to}" + (f": {options.reason}" if options.reason else "")
    carry_out(sagemaker, changes, reason)
    if asked is not None:
        question.answer(codepipeline, pipeline, asked, approve=False, comment=reason)
    print("Done. When staging has proven it: make promote")
    return 0


def plan(versions: Sequence[Version], group: str, to: int) -> list[Change]:
    """What has to change for version `to` to be the newest approved one.

    Args:
        versions: all of the group.
        group: its name.
        to: the version's number.

    Raises:
        UserError: there is no such version.
    """
    by_number = {version.number: version for version in versions}
    if to not in by_number:
        known = ", ".join(str(number) for number in sorted(by_number)) or "none"
        raise UserError(f"--to {to}: expected a version of {group} ({known})")
    wanted = by_number[to]
    first = [Change(wanted, APPROVED)] if wanted.approval != APPROVED else []
    above = sorted(number for number in by_number if number > to)
    return [
        *first,
        *(Change(by_number[n], REJECTED) for n in above if by_number[n].approval == APPROVED),
    ]


def carry_out(sagemaker: Any, changes: Sequence[Change], reason: str) -> None:
    """Changes the registry.

    Raises:
        UserError: these credentials may not; what was changed before stays.
    """
    for change in changes:
        with plain_errors(f"version {change.version.number}"):
            sagemaker.update_model_package(
                ModelPackageArn=change.version.arn, ModelApprovalStatus=change.to, ApprovalDescription=reason
            )
