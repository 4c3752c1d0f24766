"""Sources, buildspec and variables of a build: everything that comes before its first command."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.delivery import artifacts, buildspec
from mlops_workbench.sandbox.delivery.buildspec import Buildspec, BuildspecError
from mlops_workbench.sandbox.delivery.requests import BuildRequest, Location, Refused
from mlops_workbench.sandbox.delivery.roles import Role

_DEFAULT = "buildspec.yml"


def download(request: BuildRequest, role: Role, folder: Path) -> dict[str, Path]:
    """Fetch and unpack the sources; return their folders by artifact name, the primary one first.

    Raises:
        ArtifactError: one is no zip.
        ClientError: the role may not read one, or it is not there.
    """
    sources = {location.name: location for location in _locations(request)}
    primary = request.pipeline.primary if request.pipeline else next(iter(sources), "")
    folders: dict[str, Path] = {}
    for name in sorted(sources, key=lambda name: name != primary):
        location, target = sources[name], folder / f"src{len(folders)}"
        archive = folder / "source.zip"
        role.client("s3").download_file(location.bucket, location.key, str(archive))
        artifacts.unpack(archive, target, f"s3://{location.bucket}/{location.key}")
        archive.unlink()
        folders[name] = target
    if not folders:
        (folder / "src0").mkdir(parents=True)
        folders[""] = folder / "src0"
    return folders


def read_buildspec(request: BuildRequest, source: Path) -> Buildspec:
    """Return the project's buildspec: its own text, a file of the source, or buildspec.yml.

    Raises:
        BuildspecError: there is none, or it cannot be used.
    """
    given = request.project["source"].get("buildspec") or _DEFAULT
    # As AWS tells them apart: what has more than one line, or is an object, is the text.
    if "\n" in given or given.lstrip().startswith("{"):
        return buildspec.parse(given, "the project's buildspec")
    if given.startswith("arn:"):
        raise BuildspecError(f"{given}: the sandbox reads buildspecs from the source or the project only")
    path = source / given
    if not path.is_file():
        raise BuildspecError(f"{given}: no such file in the source")
    try:
        return buildspec.parse(path.read_text("utf-8"), given)
    except UnicodeDecodeError:
        raise BuildspecError(f"{given}: expected UTF-8 text") from None


def variables(request: BuildRequest, spec: Buildspec, role: Role) -> tuple[dict[str, str], list[str]]:
    """Resolve the variables.

    Those of the start come before the project's, and these before the buildspec's, as in AWS.

    Returns:
        The values by name, and those of them that must not be shown.

    Raises:
        ClientError: the role may not read a parameter or a secret, or it is not there.
        Refused: a reference of the wrong form.
    """
    declared = [
        *((name, "PLAINTEXT", value) for name, value in spec.variables.items()),
        *((name, "PARAMETER_STORE", value) for name, value in spec.parameters.items()),
        *((name, "SECRETS_MANAGER", value) for name, value in spec.secrets.items()),
        *(
            (entry["name"], entry.get("type") or "PLAINTEXT", entry["value"])
            for entry in request.project["environment"].get("environmentVariables") or []
        ),
    ]
    values: dict[str, str] = {}
    hidden: list[str] = []
    for name, (kind, reference) in {name: (kind, text) for name, kind, text in declared}.items():
        if kind == "PLAINTEXT":
            values[name] = reference
            continue
        read = {"PARAMETER_STORE": _parameter, "SECRETS_MANAGER": _secret}[kind]
        values[name] = read(role, reference, name)
        hidden.append(values[name])
    return values, hidden


def code_of(error: Exception) -> tuple[str, str]:
    """Return a phase context's code and message for what went wrong before the first command."""
    if isinstance(error, BuildspecError):
        return "YAML_FILE_ERROR", str(error)
    if isinstance(error, ClientError):
        denied = "AccessDenied" in error.response["Error"]["Code"]
        return "ACCESS_DENIED" if denied else "CLIENT_ERROR", str(error)
    return "CLIENT_ERROR", str(error)


def _locations(request: BuildRequest) -> tuple[Location, ...]:
    if request.pipeline:
        return request.pipeline.sources
    source: Mapping[str, Any] = request.project["source"]
    if source["type"] != "S3":
        return ()
    location = str(source.get("location") or "").removeprefix("arn:aws:s3:::")
    bucket, _, key = location.partition("/")
    if not key or key.endswith("/"):
        raise Refused(f"source.location: expected BUCKET/KEY of a zip archive, got {location!r}")
    return (Location("source", bucket, key),)


def _parameter(role: Role, reference: str, name: str) -> str:
    found = role.client("ssm").get_parameter(Name=reference, WithDecryption=True)
    return str(found["Parameter"]["Value"])


def _secret(role: Role, reference: str, name: str) -> str:
    """Read ``id:json-key:version-stage:version-id``; the id may be an ARN, which has colons of its own."""
    arn = re.match(r"arn:[^:]+:secretsmanager:[^:]*:\d*:secret:[^:]+", reference)
    identity = arn.group() if arn else reference.partition(":")[0]
    key, stage, version = ([*reference[len(identity) + 1 :].split(":"), "", "", ""])[:3]
    wanted = {"VersionStage": stage, "VersionId": version}
    found = role.client("secretsmanager").get_secret_value(
        SecretId=identity, **{option: value for option, value in wanted.items() if value}
    )
    text = str(found["SecretString"])
    if not key:
        return text
    try:
        value = json.loads(text)[key]
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{name}: secret {identity} is not JSON with the key {key!r}") from None
    return value if isinstance(value, str) else json.dumps(value)
