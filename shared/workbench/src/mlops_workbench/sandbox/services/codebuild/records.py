"""What a build is asked to do, and what BatchGetBuilds answers for it, kept up to date while it runs.

It is asked for its project, with this start's overrides, and a pipeline's artifacts. The records live on
moto's CodeBuild backend, so that snapshots keep them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from moto.codebuild.models import CodeBuildBackend, codebuild_backends

from mlops_workbench.sandbox import session
from mlops_workbench.sandbox.gate import STATE

#: What the sandbox has no machine for; each is refused with its reason when a build starts.
_REFUSED = {
    "vpcConfig": "the sandbox has no network of its own; builds reach what this machine reaches",
    "fileSystemLocations": "the sandbox mounts no file systems",
    "buildBatchConfig": "the sandbox has no batch builds",
}
_SYSTEMS = ("LINUX_CONTAINER", "LINUX_GPU_CONTAINER", "ARM_CONTAINER", "LINUX_EC2", "ARM_EC2")
_SOURCES = ("CODEPIPELINE", "S3", "NO_SOURCE")
IN_PROGRESS = "IN_PROGRESS"
_INTERRUPTED = "the sandbox's process ended before the build did"


class Refused(ValueError):
    """A build that cannot run here; one line that says why."""


@dataclass(frozen=True)
class Location:
    """A zip in S3 under the name of its artifact."""

    name: str
    bucket: str
    key: str
    revision: str = ""


@dataclass(frozen=True)
class PipelineInput:
    """What CodePipeline hands to the build of its action.

    Attributes:
        pipeline: its name.
        sources: the input artifacts.
        primary: the name of the one whose buildspec counts.
        outputs: where the output artifacts go, in the action's order.
        key_id: of the KMS key of the artifact store; None for S3's own.
    """

    pipeline: str
    sources: tuple[Location, ...]
    primary: str
    outputs: tuple[Location, ...]
    key_id: str | None

    @classmethod
    def of(cls, handed: Mapping[str, Any]) -> PipelineInput:
        """Return what CodePipeline has handed over, whose locations are mappings."""
        places = {key: tuple(Location(**each) for each in handed[key]) for key in ("sources", "outputs")}
        return cls(
            handed["pipeline"], places["sources"], handed["primary"], places["outputs"], handed["key_id"]
        )


@dataclass(frozen=True)
class BuildRequest:
    """One build."""

    account: str
    region: str
    project: dict[str, Any]
    initiator: str
    source_version: str | None = None
    pipeline: PipelineInput | None = None

    def check(self) -> None:
        """Raise Refused for what the sandbox cannot do."""
        environment = self.project["environment"]
        if environment["type"] not in _SYSTEMS:
            raise Refused(
                f"environment.type: expected one of {', '.join(_SYSTEMS)}, got {environment['type']}"
            )
        for key, reason in _REFUSED.items():
            if self.project.get(key):
                raise Refused(f"{key}: {reason}")
        kind = self.project["source"]["type"]
        if kind not in _SOURCES:
            raise Refused(f"source.type: the sandbox offers {', '.join(_SOURCES)}, got {kind}")
        for key in ("secondarySources", "secondaryArtifacts"):
            if self.project.get(key):
                raise Refused(f"{key}: the sandbox offers several sources and artifacts in pipelines only")


@dataclass
class BuildRecord:
    """One build: the description under the names of the API."""

    account: str
    region: str
    description: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the build's id, ``project:uuid``."""
        return cast(str, self.description["id"])

    def update(self, **changes: Any) -> None:
        """Change the description; whoever reads it meanwhile sees the old one or the new one, whole."""
        with STATE.changing():
            self.description = {**self.description, **changes}

    def begin(self, phase: str, moment: datetime | None = None) -> None:
        """Begin a phase."""
        phases = [*self.description["phases"], {"phaseType": phase, "startTime": moment or now()}]
        self.update(phases=phases, currentPhase=phase)

    def end(
        self, status: str = "SUCCEEDED", code: str = "", message: str = "", moment: datetime | None = None
    ) -> None:
        """End the phase that runs."""
        *before, last = self.description["phases"]
        end = moment or now()
        seconds = int((end - last["startTime"]).total_seconds())
        # AWS gives a phase that went well one empty context.
        context = {"statusCode": code, "message": message}
        last = {
            **last,
            "phaseStatus": status,
            "endTime": end,
            "durationInSeconds": seconds,
            "contexts": [context],
        }
        self.update(phases=[*before, last])

    def close(self, status: str) -> None:
        """End the build."""
        moment = now()
        phases = [*self.description["phases"], {"phaseType": "COMPLETED", "startTime": moment}]
        self.update(
            phases=phases, currentPhase="COMPLETED", buildStatus=status, endTime=moment, buildComplete=True
        )

    def emit(self) -> None:
        """Put the event "CodeBuild Build State Change" on the bus."""
        shown = self.description
        detail = {
            "build-status": shown["buildStatus"],
            "project-name": shown["projectName"],
            "build-id": shown["arn"],
            "current-phase": shown["currentPhase"],
            "current-phase-context": "[]",
            "version": "1",
            "additional-information": _information(shown),
        }
        kind = "CodeBuild Build State Change"
        session.emit(self.account, self.region, "aws.codebuild", kind, detail, [shown["arn"]])


def now() -> datetime:
    """Return the time as descriptions carry it."""
    return datetime.now(UTC)


def of_backend(backend: CodeBuildBackend) -> dict[str, BuildRecord]:
    """Return the builds of an account and region by id, oldest first."""
    return cast(dict[str, BuildRecord], vars(backend).setdefault("sandbox_builds", {}))


def fail_interrupted() -> None:
    """Mark the builds as failed that a process left behind when it was killed."""
    for account, region, _ in codebuild_backends.iter_backends():
        for record in of_backend(codebuild_backends[account][region]).values():
            if record.description["buildStatus"] == IN_PROGRESS:
                record.end("FAULT", "INTERNAL_ERROR", _INTERRUPTED)
                record.close("FAULT")


def _information(shown: dict[str, Any]) -> dict[str, Any]:
    logs = shown.get("logs") or {}
    return {
        "artifact": shown.get("artifacts") or {},
        "environment": {
            "image": shown["environment"]["image"],
            "compute-type": shown["environment"]["computeType"],
            "type": shown["environment"]["type"],
            "privileged-mode": shown["environment"].get("privilegedMode", False),
            "environment-variables": shown["environment"].get("environmentVariables", []),
        },
        "timeout-in-minutes": shown["timeoutInMinutes"],
        "build-complete": shown["buildComplete"],
        "build-number": shown["buildNumber"],
        "initiator": shown["initiator"],
        "build-start-time": _spoken(shown["startTime"]),
        "source": {"type": shown["source"]["type"]},
        "logs": {
            "group-name": logs.get("groupName"),
            "stream-name": logs.get("streamName"),
            "deep-link": logs.get("deepLink"),
        },
        "phases": [_phase(phase) for phase in shown["phases"]],
    }


def _phase(phase: dict[str, Any]) -> dict[str, Any]:
    shown = {"phase-type": phase["phaseType"], "start-time": _spoken(phase["startTime"])}
    if "phaseStatus" not in phase:
        return shown
    contexts = [f"{context['statusCode']}: {context['message']}" for context in phase["contexts"]]
    return shown | {
        "phase-status": phase["phaseStatus"],
        "end-time": _spoken(phase["endTime"]),
        "duration-in-seconds": phase["durationInSeconds"],
        "phase-context": contexts,
    }


def _spoken(moment: datetime) -> str:
    """Return a time as CodeBuild's events write it: ``Nov 24, 2026 3:01:39 AM``."""
    hour = moment.hour % 12 or 12
    return f"{moment:%b} {moment.day}, {moment.year} {hour}:{moment:%M:%S %p}"
