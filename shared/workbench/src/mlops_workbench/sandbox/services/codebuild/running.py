"""The builds that run: each in a thread, ended with the sandbox."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from moto.codebuild.models import codebuild_backends

from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.services.codebuild.build import Build
from mlops_workbench.sandbox.services.codebuild.records import (
    IN_PROGRESS,
    BuildRecord,
    BuildRequest,
    PipelineInput,
    now,
    of_backend,
)
from mlops_workbench.sandbox.session import current


class _Builds:
    """The builds of an open sandbox that run, by id: what stops each, and its thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stops: dict[str, threading.Event] = {}
        self.threads: dict[str, threading.Thread] = {}


def handed(token: str | None) -> PipelineInput | None:
    """Return what CodePipeline has handed over for the StartBuild call with an idempotency token, once."""
    found = current().handed.pop(token, None) if token else None
    return PipelineInput.of(found) if found else None


def start(request: BuildRequest) -> BuildRecord:
    """Record a build and run it in a thread."""
    sandbox = current()
    running = sandbox.part(_Builds)
    record = BuildRecord(request.account, request.region, {})
    with STATE.changing(), running.lock:
        records = of_backend(codebuild_backends[request.account][request.region])
        record.description = _describe(request, records)
        records[record.id] = record
    stop = threading.Event()
    project, _, id_ = record.id.partition(":")
    owner = "" if request.account == sandbox.accounts[0] else f"@{request.account}"
    folder = sandbox.folder / "builds" / f"{project}{owner}" / id_
    build = Build(request, record, folder, sandbox.images, stop)

    def run() -> None:
        try:
            record.emit()
            build.run()
        finally:
            record.emit()
            with running.lock:
                running.stops.pop(record.id, None)
                running.threads.pop(record.id, None)

    thread = threading.Thread(target=run, name=record.id, daemon=True)
    with running.lock:
        running.stops[record.id], running.threads[record.id] = stop, thread
    thread.start()
    return record


def stop(id_: str) -> None:
    """Ask a build to end; one that has ended stays as it is."""
    running = current().part(_Builds)
    with running.lock:
        event = running.stops.get(id_)
    if event:
        event.set()


def stop_all() -> None:
    """Stop every build and wait for its end."""
    running = current().part(_Builds)
    with running.lock:
        events, threads = list(running.stops.values()), list(running.threads.values())
    for event in events:
        event.set()
    for thread in threads:
        thread.join()


def _describe(request: BuildRequest, records: dict[str, BuildRecord]) -> dict[str, Any]:
    """Return the description of a build that has been submitted."""
    project, moment, id_ = request.project, now(), str(uuid.uuid4())
    name = project["name"]
    number = 1 + max(
        (r.description["buildNumber"] for r in records.values() if r.description["projectName"] == name),
        default=0,
    )
    settings = (project.get("logsConfig") or {}).get("cloudWatchLogs") or {}
    group = settings.get("groupName") or f"/aws/codebuild/{name}"
    # A stream name that is given is what the names begin with.
    stream = "/".join(filter(None, [settings.get("streamName"), id_]))
    region, account = request.region, request.account
    shown = ("source", "environment", "serviceRole", "timeoutInMinutes", "queuedTimeoutInMinutes", "cache")
    pipeline = request.pipeline
    primary = (
        next((one for one in pipeline.sources if one.name == pipeline.primary), None) if pipeline else None
    )
    encryption = pipeline.key_id if pipeline and pipeline.key_id else project.get("encryptionKey")
    described = {
        "id": f"{name}:{id_}",
        "arn": f"arn:aws:codebuild:{region}:{account}:build/{name}:{id_}",
        "buildNumber": number,
        "projectName": name,
        "initiator": request.initiator,
        "startTime": moment,
        "buildStatus": IN_PROGRESS,
        "buildComplete": False,
        "currentPhase": "QUEUED",
        "phases": [
            {
                "phaseType": "SUBMITTED",
                "phaseStatus": "SUCCEEDED",
                "startTime": moment,
                "endTime": moment,
                "durationInSeconds": 0,
                "contexts": [{"statusCode": "", "message": ""}],
            },
            {"phaseType": "QUEUED", "startTime": moment},
        ],
        # What a pipeline's build is told of its source is the ARN of the primary artifact.
        "sourceVersion": f"arn:aws:s3:::{primary.bucket}/{primary.key}"
        if primary
        else request.source_version,
        "resolvedSourceVersion": primary.revision if primary else request.source_version,
        "artifacts": {"location": ""},
        "encryptionKey": encryption,
        "logs": {
            "groupName": group,
            "streamName": stream,
            "deepLink": f"https://console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
            f"{group.replace('/', '$252F')}/log-events/{stream.replace('/', '$252F')}",
            "cloudWatchLogsArn": f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}",
            "cloudWatchLogs": {"status": "ENABLED", **settings},
        },
        **{key: project[key] for key in shown if key in project},
    }
    return {key: value for key, value in described.items() if value is not None}
