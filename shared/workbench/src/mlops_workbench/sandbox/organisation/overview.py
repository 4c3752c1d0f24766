"""What the organisation looks like at one moment, asked for over the AWS APIs as anybody would.

A call that the sandbox does not have, or that fails, leaves its part empty and a line in ``notices``: what
can be shown is shown. EventBridge's latest events are in no API: the process of the sandbox remembers
them, and its page hands them out.
"""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.organisation import activity, releases
from mlops_workbench.sandbox.organisation.activity import iso
from mlops_workbench.sandbox.organisation.approvals import Approval, waiting
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.session import current

Item = TypeVar("Item")
#: How many of each kind are shown, the newest.
LIMIT = 20
#: How many are shown, the newest.
EVENTS = 50


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
    pipelines: list[releases.Pipeline] = field(default_factory=list)
    approvals: list[Approval] = field(default_factory=list)
    builds: list[activity.Build] = field(default_factory=list)
    executions: list[activity.Execution] = field(default_factory=list)
    packages: list[releases.Package] = field(default_factory=list)
    endpoints: list[activity.Endpoint] = field(default_factory=list)
    alarms: list[activity.Alarm] = field(default_factory=list)
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
            releases.collect_pipelines(client("codepipeline"), account),
            overview.pipelines,
        )
        gather(
            f"builds of {account}",
            activity.collect_builds(client("codebuild"), account, LIMIT),
            overview.builds,
        )
        sagemaker = client("sagemaker")
        gather(
            f"SageMaker executions of {account}",
            activity.collect_executions(sagemaker, account, LIMIT),
            overview.executions,
        )
        gather(
            f"model packages of {account}",
            releases.collect_packages(sagemaker, client("s3"), account, LIMIT),
            overview.packages,
        )
        gather(
            f"endpoints of {account}",
            activity.collect_endpoints(sagemaker, account, LIMIT),
            overview.endpoints,
        )
        gather(
            f"alarms of {account}", activity.collect_alarms(client("cloudwatch"), account), overview.alarms
        )
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


def recent_events() -> list[Event]:
    """Return the latest events of this process's sandbox, the newest first."""
    return [
        Event(
            iso(entry.time),
            entry.account,
            entry.source,
            entry.detail_type,
            entry.summary,
            _outcome(entry.rule, entry.target, entry.outcome),
        )
        for entry in reversed(current().history.deliveries()[-EVENTS:])
    ]


def ask_events(organisation: Organisation) -> list[Event]:
    """Return the latest events of an organisation that runs in another process, the newest first.

    Raises:
        OSError: its page does not answer.
    """
    # Not a person's proxy: it cannot reach this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(organisation.page + "events.json", timeout=10) as answer:
        return [Event(**entry) for entry in json.load(answer)]


def _outcome(rule: str, target: str, outcome: str) -> str:
    if not rule:
        return outcome
    # ARNs are long, and their last part says it: the rule, and the pipeline or function that got the event.
    short = f"{rule.rsplit('/', 1)[-1]} → {target.rsplit('/', 1)[-1].rsplit(':', 1)[-1]}"
    return short if outcome == "delivered" else f"{short}: {outcome}"
