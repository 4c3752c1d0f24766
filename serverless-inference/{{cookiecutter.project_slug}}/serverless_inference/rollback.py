"""Going back to an older version: the registry is told, and the pipeline does the rest.

The newest approved version is what serves. So a rollback approves the version that is wanted and rejects the
approved ones above it, the newest last: each change starts the pipeline, and only the last one changes its
answer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from configuration.errors import UserError
from release.aws import plain_errors
from release.registry import APPROVED, Version

REJECTED = "Rejected"


class Change(NamedTuple):
    """A version that gets another approval status."""

    version: Version
    to: str

    def in_words(self) -> str:
        """For a person."""
        verb = "approve" if self.to == APPROVED else "reject"
        return f"{verb} version {self.version.number} ({self.version.approval} now)"


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
