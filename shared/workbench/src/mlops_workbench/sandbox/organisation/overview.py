"""What the organisation looks like at one moment, asked for over the AWS APIs as anybody would.

A call that the sandbox does not have, or that fails, leaves its part empty and a line in ``notices``: what
can be shown is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.organisation import (
    alarms,
    builds,
    endpoints,
    executions,
    model_packages,
    pipelines,
)
from mlops_workbench.sandbox.organisation.approvals import Approval, waiting
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.organisation.times import iso

Item = TypeVar("Item")
#: How many of each kind are shown, the newest.
LIMIT = 20


@dataclass(frozen=True)
class Event:
    """An event of EventBridge.

    Attributes:
        outcome: where it went: the rules that it matched, or "no rule".
    """

    time: str
    account: str
    source: str
    detail_type: str
    summary: str
    outcome: str


@dataclass
class Overview:
    """Everything that ``status`` and the page show. Times are ISO 8601 in UTC, "" where there is none."""

    folder: str
    region: str
    endpoint: str
    accounts: list[str]
    time: str
    pipelines: list[pipelines.Pipeline] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    builds: list[builds.Build] = field(default_factory=list)
    executions: list[executions.Execution] = field(default_factory=list)
    packages: list[model_packages.Package] = field(default_factory=list)
    endpoints: list[endpoints.Endpoint] = field(default_factory=list)
    alarms: list[alarms.Alarm] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    page: str = ""


def collect(organisation: Organisation, events: Callable[[], list[Event]] | None = None) -> Overview:
    """Ask every account for everything.

    Args:
        organisation: which runs.
        events: returns the events so far; they are not to be had over an AWS API.
    """
    overview = Overview(
        folder=organisation.folder,
        region=organisation.region,
        endpoint=organisation.endpoint,
        accounts=organisation.accounts,
        time=iso(datetime.now(UTC)),
        page=organisation.page,
    )

    def gather(what: str, found: Iterator[Item], into: list[Item]) -> None:
        try:
            for item in found:
                into.append(item)
        except (BotoCoreError, ClientError) as error:
            overview.notices.append(f"{what}: {_reason(error)}")

    for account in dict.fromkeys(organisation.accounts):
        client = _clients(organisation, account)
        gather(
            f"pipelines of {account}",
            pipelines.collect(client("codepipeline"), account),
            overview.pipelines,
        )
        gather(f"builds of {account}", builds.collect(client("codebuild"), account, LIMIT), overview.builds)
        sagemaker = client("sagemaker")
        gather(
            f"SageMaker executions of {account}",
            executions.collect(sagemaker, account, LIMIT),
            overview.executions,
        )
        gather(
            f"model packages of {account}",
            model_packages.collect(sagemaker, client("s3"), account, LIMIT),
            overview.packages,
        )
        gather(f"endpoints of {account}", endpoints.collect(sagemaker, account, LIMIT), overview.endpoints)
        gather(f"alarms of {account}", alarms.collect(client("cloudwatch"), account), overview.alarms)
    overview.executions = sorted(overview.executions, key=lambda item: item.started, reverse=True)[:LIMIT]
    overview.packages = sorted(overview.packages, key=lambda item: item.created, reverse=True)[:LIMIT]
    overview.builds = sorted(overview.builds, key=lambda item: item.started, reverse=True)[:LIMIT]
    overview.approvals = waiting(overview.pipelines, overview.packages)
    with contextlib.suppress(Exception):  # a list for people: never a reason to show nothing else
        overview.events = (events or list)()
    return overview


def _clients(organisation: Organisation, account: str) -> Callable[[str], Any]:
    return lambda service: organisation.client(service, account)


def _reason(error: Exception) -> str:
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Message") or error)
    return str(error)
