"""Which versions change for an older one to be the newest approved."""

from datetime import UTC, datetime

import pytest

from configuration.errors import UserError
from release.registry import Version
from serverless_inference import rollback


def versions(**approvals: str) -> list[Version]:
    """`v1="Approved"`, …, as the registry lists them: the newest first."""
    found = [
        Version(f"arn/{name[1:]}", int(name[1:]), approval, datetime(2026, 1, 1, tzinfo=UTC), True)
        for name, approval in approvals.items()
    ]
    return sorted(found, key=lambda version: -version.number)


def planned(to: int, **approvals: str) -> list[tuple[int, str]]:
    return [
        (change.version.number, change.to) for change in rollback.plan(versions(**approvals), "group", to)
    ]


def test_what_is_newer_and_approved_is_rejected_the_newest_last() -> None:
    changes = planned(1, v1="Approved", v2="Approved", v3="PendingManualApproval", v4="Approved")
    assert changes == [(2, "Rejected"), (4, "Rejected")]


def test_a_version_that_is_not_approved_is_approved_first() -> None:
    assert planned(1, v1="Rejected", v2="Approved") == [(1, "Approved"), (2, "Rejected")]


def test_there_is_nothing_to_do_when_it_is_the_newest_approved_one() -> None:
    assert planned(2, v1="Approved", v2="Approved", v3="Rejected") == []


def test_a_version_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"--to 7: expected a version of group \(1, 2\)"):
        planned(7, v1="Approved", v2="Approved")
