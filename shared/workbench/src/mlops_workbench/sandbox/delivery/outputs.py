"""What a build leaves, in S3: an action's output artifacts, or the artifact of a project of its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.delivery import artifacts
from mlops_workbench.sandbox.delivery.artifacts import ArtifactError
from mlops_workbench.sandbox.delivery.build_records import BuildRecord
from mlops_workbench.sandbox.delivery.buildspec import Artifact, Buildspec
from mlops_workbench.sandbox.delivery.requests import BuildRequest, Location
from mlops_workbench.sandbox.delivery.roles import Role


def upload(
    request: BuildRequest,
    spec: Buildspec,
    source: Path,
    environment: Mapping[str, str],
    role: Role,
    record: BuildRecord,
    say: Callable[[str], None],
) -> None:
    """Zip and store what the buildspec names.

    Raises:
        ArtifactError: nothing matches, or the buildspec lacks an artifact that the action declares.
        ClientError: the role may not write there.
    """
    archive = source.parent / "artifact.zip"
    if request.pipeline:
        for artifact, location in _pair(spec, request.pipeline.outputs):
            say(f"[Container] Uploading artifact {location.name}")
            artifacts.pack(_select(artifact, source, environment), archive)
            encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": request.pipeline.key_id}
            _put(role, archive, location.bucket, location.key, encryption)
        return
    target = request.project["artifacts"]
    if target["type"] != "S3" or spec.artifact is None:
        return
    files = _select(spec.artifact, source, environment)
    prefix = _prefix(target, spec.artifact, record, environment)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": request.project.get("encryptionKey")}
    encryption = {} if target.get("encryptionDisabled") else encryption
    if target.get("packaging") == "ZIP":
        artifacts.pack(files, archive)
        _put(role, archive, target["location"], prefix, encryption)
    else:
        for path, name in files:
            _put(role, path, target["location"], posixpath.join(prefix, name), encryption)
    record.update(artifacts={"location": f"arn:aws:s3:::{target['location']}/{prefix}"})


def _pair(spec: Buildspec, locations: tuple[Location, ...]) -> list[tuple[Artifact, Location]]:
    """Match an action's outputs with the buildspec's artifacts.

    One output gets the main artifact. Of several, each gets the secondary artifact of its name.
    """
    if len(locations) == 1 and spec.artifact:
        return [(spec.artifact, locations[0])]
    missing = [location.name for location in locations if location.name not in spec.secondary_artifacts]
    if missing:
        place = "artifacts" if len(locations) == 1 else "artifacts: secondary-artifacts"
        raise ArtifactError(f"the action declares the output {missing[0]}; the buildspec's {place} has none")
    return [(spec.secondary_artifacts[location.name], location) for location in locations]


def _select(artifact: Artifact, source: Path, environment: Mapping[str, str]) -> list[tuple[Path, str]]:
    base = artifact.base_directory
    if base is None:
        return artifacts.select(artifact, source)
    expanded = Artifact(
        artifact.files, artifact.exclude, _expand(base, environment), artifact.discard_paths, artifact.name
    )
    return artifacts.select(expanded, source)


def _prefix(
    target: Mapping[str, Any], artifact: Artifact, record: BuildRecord, environment: Mapping[str, str]
) -> str:
    """Return the key, or what the keys begin with: path, build id if asked for, name."""
    name = target.get("name") or record.description["projectName"]
    if target.get("overrideArtifactName") and artifact.name:
        name = _expand(artifact.name, environment)
    parts = [str(target.get("path") or "").strip("/")]
    if target.get("namespaceType") == "BUILD_ID":
        parts.append(record.id.rpartition(":")[2])
    return posixpath.join(*parts, name.strip("/"))


def _expand(text: str, environment: Mapping[str, str]) -> str:
    """Put variables into a text: ``$NAME`` and ``${NAME}``."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: environment.get(found[1] or found[2], ""), text)


def _put(role: Role, path: Path, bucket: str, key: str, options: Mapping[str, Any]) -> None:
    given = {name: value for name, value in options.items() if value}
    role.client("s3").upload_file(str(path), bucket, key, ExtraArgs=given)
