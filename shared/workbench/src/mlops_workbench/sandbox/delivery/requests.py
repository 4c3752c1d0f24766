"""What a build is asked to do: its project, with this start's overrides, and a pipeline's artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What the sandbox has no machine for; each is refused with its reason when a build starts.
_REFUSED = {
    "vpcConfig": "the sandbox has no network of its own; builds reach what this machine reaches",
    "fileSystemLocations": "the sandbox mounts no file systems",
    "buildBatchConfig": "the sandbox has no batch builds",
}
_SYSTEMS = ("LINUX_CONTAINER", "LINUX_GPU_CONTAINER", "ARM_CONTAINER", "LINUX_EC2", "ARM_EC2")
_SOURCES = ("CODEPIPELINE", "S3", "NO_SOURCE")


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
