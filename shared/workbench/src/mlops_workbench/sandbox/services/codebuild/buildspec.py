"""A buildspec, read and checked before anything runs.

The format is [read] in "Build specification reference for CodeBuild", version 0.2. What CodeBuild would
ignore in silence (an unknown key) is an error here, named with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
SHELLS = ("sh", "bash")

OnFailure = Literal["ABORT", "CONTINUE"]


class BuildspecError(ValueError):
    """A buildspec that cannot be used: place, what was expected, what was found."""


@dataclass(frozen=True)
class Phase:
    """One phase's commands; ``finally_`` runs after them, whether they failed or not."""

    commands: tuple[str, ...] = ()
    finally_: tuple[str, ...] = ()
    on_failure: OnFailure | None = None


@dataclass(frozen=True)
class Artifact:
    """Which files a build leaves, and under which names."""

    files: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    base_directory: str | None = None
    discard_paths: bool = False
    name: str | None = None


@dataclass(frozen=True)
class Buildspec:
    """A whole buildspec."""

    phases: Mapping[str, Phase]
    shell: str = "sh"
    variables: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    exported: tuple[str, ...] = ()
    artifact: Artifact | None = None
    secondary_artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def parse(text: str, origin: str = "buildspec") -> Buildspec:
    """Read a buildspec.

    Args:
        text: YAML.
        origin: the file's name, for messages.

    Raises:
        BuildspecError: it is not YAML, or not of the documented form; names the place.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildspecError(f"{origin}: not valid YAML: {error}") from None
    known = {"version", "run-as", "env", "proxy", "phases", "reports", "artifacts", "cache", "batch"}
    top = _mapping(document, origin, known)
    if str(top.get("version")) != "0.2":
        raise BuildspecError(f"{origin}: version: expected 0.2, got {top.get('version')!r}")
    for key in ("batch", "run-as", "proxy"):
        if key in top:
            raise BuildspecError(f"{origin}: {key}: the sandbox does not offer it; leave it out")
    where = f"{origin}: env"
    offered = {"shell", "variables", "parameter-store", "secrets-manager", "exported-variables"}
    env = _mapping(top.get("env"), where, {*offered, "git-credential-helper"})
    if env.get("git-credential-helper") not in (None, "no", False):
        raise BuildspecError(f"{where}: git-credential-helper: the sandbox has no Git sources")
    shell = _text(env.get("shell", "sh"), f"{where}: shell")
    if shell not in SHELLS:
        raise BuildspecError(f"{where}: shell: expected {' or '.join(SHELLS)}, got {shell!r}")
    artifact, secondary = _artifacts(top.get("artifacts"), f"{origin}: artifacts")
    return Buildspec(
        phases=_phases(top.get("phases"), f"{origin}: phases"),
        shell=shell,
        variables=_texts(env.get("variables"), f"{where}: variables"),
        parameters=_texts(env.get("parameter-store"), f"{where}: parameter-store"),
        secrets=_texts(env.get("secrets-manager"), f"{where}: secrets-manager"),
        exported=_list(env.get("exported-variables"), f"{where}: exported-variables"),
        artifact=artifact,
        secondary_artifacts=secondary,
        notes=_notes(top, origin),
    )


def _phases(value: Any, where: str) -> dict[str, Phase]:
    given = _mapping(value, where, set(PHASES))
    if not given:
        raise BuildspecError(f"{where}: expected at least one of {', '.join(PHASES)}, got none")
    return {name: _phase(name, phase, f"{where}: {name}") for name, phase in given.items()}


def _phase(name: str, value: Any, where: str) -> Phase:
    known = {"commands", "finally", "on-failure", "run-as", "steps"}
    given = _mapping(value, where, known | ({"runtime-versions"} if name == "install" else set()))
    for key in ("run-as", "steps"):
        if key in given:
            raise BuildspecError(f"{where}: {key}: the sandbox does not offer it; leave it out")
    on_failure = given.get("on-failure")
    if on_failure not in (None, "ABORT", "CONTINUE"):
        raise BuildspecError(f"{where}: on-failure: expected ABORT or CONTINUE, got {on_failure!r}")
    versions = _texts(given.get("runtime-versions"), f"{where}: runtime-versions")
    commands = _list(given.get("commands"), f"{where}: commands")
    if not commands and not versions:
        raise BuildspecError(f"{where}: commands: expected at least one command, got none")
    return Phase(
        commands,
        _list(given.get("finally"), f"{where}: finally"),
        cast("OnFailure | None", on_failure),
    )


def _artifacts(value: Any, where: str) -> tuple[Artifact | None, dict[str, Artifact]]:
    if value is None:
        return None, {}
    known = {"files", "exclude-paths", "base-directory", "discard-paths", "name", "enable-symlinks"}
    given = _mapping(value, where, known | {"secondary-artifacts", "s3-prefix"})
    secondary = {
        str(name): _artifact(
            _mapping(entry, f"{where}: secondary-artifacts: {name}", known), f"{where}: {name}"
        )
        for name, entry in _mapping(given.get("secondary-artifacts"), f"{where}: secondary-artifacts").items()
    }
    if "s3-prefix" in given:
        raise BuildspecError(f"{where}: s3-prefix: it is for batch builds, which the sandbox does not offer")
    return (None if secondary and "files" not in given else _artifact(given, where)), secondary


def _artifact(given: Mapping[str, Any], where: str) -> Artifact:
    files = _list(given.get("files"), f"{where}: files")
    if not files:
        raise BuildspecError(f"{where}: files: expected at least one path or pattern, got none")
    if given.get("enable-symlinks") not in (None, "no", False):
        raise BuildspecError(
            f"{where}: enable-symlinks: the sandbox stores what a link points to; leave it out"
        )
    base = given.get("base-directory")
    return Artifact(
        files,
        _list(given.get("exclude-paths"), f"{where}: exclude-paths"),
        None if base is None else _text(base, f"{where}: base-directory"),
        _flag(given.get("discard-paths"), f"{where}: discard-paths"),
        None if given.get("name") is None else _text(given["name"], f"{where}: name"),
    )


def _notes(top: Mapping[str, Any], origin: str) -> tuple[str, ...]:
    notes = []
    if top.get("reports"):
        notes.append("reports: the sandbox does not collect test reports; the files stay where they are")
    cache = _mapping(top.get("cache"), f"{origin}: cache", {"paths", "key", "fallback-keys", "action"})
    if _list(cache.get("paths"), f"{origin}: cache: paths"):
        notes.append("cache: each build of the sandbox starts with an empty cache")
    versions = ((top.get("phases") or {}).get("install") or {}).get("runtime-versions") or {}
    if versions:
        named = ", ".join(f"{name} {version}" for name, version in versions.items())
        notes.append(
            f"runtime-versions: {named}: sandbox.toml decides which Python runs; the rest is the machine's"
        )
    return tuple(notes)


def _mapping(value: Any, where: str, known: set[str] | None = None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BuildspecError(f"{where}: expected keys with values, got {value!r}")
    for key in value:
        if known is not None and key not in known:
            raise BuildspecError(f"{where}: {key}: unknown key; known are {', '.join(sorted(known))}")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    return {str(key): _text(entry, f"{where}: {key}") for key, entry in _mapping(value, where).items()}


def _list(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    # One string instead of a list is accepted, as by CodeBuild.
    entries = value if isinstance(value, list) else [value]
    return tuple(_text(entry, f"{where}[{index}]") for index, entry in enumerate(entries))


def _text(value: Any, where: str) -> str:
    if isinstance(value, dict):
        raise BuildspecError(
            f"{where}: expected a string, got keys ({', '.join(map(str, value))}): a colon followed by a "
            "space makes YAML read one; put the line in quotes"
        )
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise BuildspecError(f"{where}: expected a string, got {value!r}")
    return str(value)


def _flag(value: Any, where: str) -> bool:
    if value in (None, False, "no"):
        return False
    if value in (True, "yes"):
        return True
    raise BuildspecError(f"{where}: expected yes or no, got {value!r}")
