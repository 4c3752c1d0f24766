"""What a build begins with (sources, buildspec, variables) and what it leaves, in S3.

Archives are zips: what a build leaves, and what the next action unpacks. How patterns are read is [read]
in the buildspec reference: ``*`` stays in a folder, ``**/*`` goes down into all.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.iam.acting import Role
from mlops_workbench.sandbox.services.codebuild import buildspec
from mlops_workbench.sandbox.services.codebuild.buildspec import Artifact, Buildspec, BuildspecError
from mlops_workbench.sandbox.services.codebuild.records import BuildRecord, BuildRequest, Location, Refused

#: What an archive may hold when unpacked; more is a mistake, or an attack.
_LARGEST = 8 << 30
_DEFAULT = "buildspec.yml"


class ArtifactError(ValueError):
    """An artifact that cannot be made or read; one line."""


def select(artifact: Artifact, source: Path) -> list[tuple[Path, str]]:
    """Return the files of an artifact and their names in the archive, sorted by name.

    Raises:
        ArtifactError: the base directory does not exist, or no file matches; the words are CodeBuild's.
    """
    base = source / (artifact.base_directory or ".")
    if not base.is_dir():
        raise ArtifactError(f"no matching base directory path found for {artifact.base_directory}")
    wanted = [_pattern(entry) for entry in artifact.files]
    unwanted = [_pattern(entry) for entry in artifact.exclude]
    chosen: dict[str, Path] = {}
    for path in _walk(base):
        name = path.relative_to(base).as_posix()
        if any(p.fullmatch(name) for p in wanted) and not any(p.fullmatch(name) for p in unwanted):
            chosen[path.name if artifact.discard_paths else name] = path
    if not chosen:
        raise ArtifactError(f"no matching artifact paths found ({', '.join(artifact.files)})")
    return sorted(((path, name) for name, path in chosen.items()), key=lambda entry: entry[1])


def pack(files: list[tuple[Path, str]], archive: Path) -> None:
    """Write files into a zip, each with its permissions."""
    with zipfile.ZipFile(
        archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1, strict_timestamps=False
    ) as target:
        for path, name in files:
            target.write(path, name)


def unpack(archive: Path, folder: Path, origin: str) -> None:
    """Extract a zip, with the permissions that it carries.

    Raises:
        ArtifactError: it is not a zip, an entry leads out of the folder, or it is too large; ``origin``
        names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = folder.resolve()
    try:
        with zipfile.ZipFile(archive) as source:
            if sum(entry.file_size for entry in source.infolist()) > _LARGEST:
                raise ArtifactError(f"{origin}: more than {_LARGEST >> 30} GiB when unpacked")
            for entry in source.infolist():
                target = (root / entry.filename).resolve()
                if not target.is_relative_to(root):
                    raise ArtifactError(f"{origin}: {entry.filename!r} leads out of the archive's folder")
                source.extract(entry, root)
                mode = (entry.external_attr >> 16) & 0o777
                if mode and not entry.is_dir():
                    target.chmod(mode | 0o600)
    except (zipfile.BadZipFile, OSError) as error:
        raise ArtifactError(f"{origin}: expected a zip archive: {error}") from None


def _walk(base: Path) -> list[Path]:
    return [Path(folder) / name for folder, _, names in os.walk(base) for name in names]


def _pattern(text: str) -> re.Pattern[str]:
    """Translate a path pattern: ``**/`` any folders or none, ``*`` and ``?`` within one name."""
    text = re.sub(r"^(\./)+", "", text)
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", text)
    meaning = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(piece) or re.escape(piece) for piece in pieces))


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
        unpack(archive, target, f"s3://{location.bucket}/{location.key}")
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
            pack(_select(artifact, source, environment), archive)
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
        pack(files, archive)
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
        return select(artifact, source)
    expanded = Artifact(
        artifact.files, artifact.exclude, _expand(base, environment), artifact.discard_paths, artifact.name
    )
    return select(expanded, source)


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
