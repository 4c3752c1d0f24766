"""CodeBuild's builds, and their logs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.organisation.times import iso, seconds


@dataclass(frozen=True)
class Build:
    """A build: ``id`` is ``<project>:<uuid>``, ``reason`` why it failed."""

    account: str
    id: str
    project: str
    status: str
    phase: str
    started: str
    seconds: float | None
    reason: str


def collect(client: Any, account: str, limit: int) -> Iterator[Build]:
    """Return the newest builds of an account, the newest first."""
    ids = client.list_builds(sortOrder="DESCENDING").get("ids", [])[:limit]
    if ids:
        for build in client.batch_get_builds(ids=ids)["builds"]:
            yield _build(build, account)


def _build(build: dict[str, Any], account: str) -> Build:
    contexts = [
        context["message"]
        for phase in build.get("phases", [])
        for context in phase.get("contexts", [])
        if context.get("message")
    ]
    return Build(
        account,
        build["id"],
        build["projectName"],
        build["buildStatus"],
        build.get("currentPhase", ""),
        iso(build.get("startTime")),
        seconds(build.get("startTime"), build.get("endTime")),
        contexts[0] if contexts and build["buildStatus"] not in ("SUCCEEDED", "IN_PROGRESS") else "",
    )


def log(codebuild: Any, cloudwatch: Any, build_id: str) -> Iterator[str]:
    """Return the lines of a build's log so far, from CloudWatch Logs.

    Raises:
        LookupError: there is no such build, or it has no log.
    """
    found = codebuild.batch_get_builds(ids=[build_id])["builds"]
    if not found:
        raise LookupError(f"no build {build_id!r}")
    place = found[0].get("logs") or {}
    if not place.get("groupName") or not place.get("streamName"):
        raise LookupError(f"build {build_id!r} has no log")
    request = {
        "logGroupName": place["groupName"],
        "logStreamName": place["streamName"],
        "startFromHead": True,
    }
    token: str | None = None
    while True:
        page = cloudwatch.get_log_events(**request, **({"nextToken": token} if token else {}))
        for event in page["events"]:
            yield from event["message"].splitlines() or [""]
        # The service gives the same token again at the end.
        if not page["events"] or page["nextForwardToken"] == token:
            return
        token = page["nextForwardToken"]
