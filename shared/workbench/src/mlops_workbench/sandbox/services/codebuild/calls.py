"""CodeBuild's calls: projects as they were given, and builds.

moto 5.2.5 rejects sources of CODEPIPELINE and NO_SOURCE, drops what it does not know (so that Terraform
finds a difference for ever), writes times under names that the API has not, and has no UpdateProject. It
has no processes: its builds are Succeeded when they are looked at.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, cast

from moto.codebuild.exceptions import (
    InvalidInputException,
    ResourceAlreadyExistsException,
    ResourceNotFoundException,
)
from moto.codebuild.models import CodeBuild, CodeBuildBackend
from moto.codebuild.responses import CodeBuildResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.sts.models import sts_backends

from mlops_workbench.sandbox.services.codebuild import running
from mlops_workbench.sandbox.services.codebuild.records import (
    IN_PROGRESS,
    BuildRecord,
    BuildRequest,
    now,
    of_backend,
)

_REQUIRED = ("name", "source", "artifacts", "environment", "serviceRole")
#: The types that CodePipeline insists on, on both sides.
_PIPELINE = "CODEPIPELINE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,149}")
_SOURCES = (
    *("CODECOMMIT", "CODEPIPELINE", "GITHUB", "GITLAB", "GITLAB_SELF_MANAGED"),
    *("S3", "BITBUCKET", "GITHUB_ENTERPRISE", "NO_SOURCE"),
)
_ARTIFACTS = ("CODEPIPELINE", "S3", "NO_ARTIFACTS")
_PAGE = 100
#: StartBuild's own fields that replace a field of the project: (request, place in the project).
_OVERRIDES = {
    "sourceTypeOverride": ("source", "type"),
    "sourceLocationOverride": ("source", "location"),
    "buildspecOverride": ("source", "buildspec"),
    "environmentTypeOverride": ("environment", "type"),
    "imageOverride": ("environment", "image"),
    "computeTypeOverride": ("environment", "computeType"),
    "privilegedModeOverride": ("environment", "privilegedMode"),
    "artifactsOverride": ("artifacts",),
    "serviceRoleOverride": ("serviceRole",),
    "timeoutInMinutesOverride": ("timeoutInMinutes",),
    "queuedTimeoutInMinutesOverride": ("queuedTimeoutInMinutes",),
    "encryptionKeyOverride": ("encryptionKey",),
    "logsConfigOverride": ("logsConfig",),
    "cacheOverride": ("cache",),
}
_OTHERS = {"projectName", "sourceVersion", "environmentVariablesOverride", "idempotencyToken"}


class Project(CodeBuild):
    """A project: moto's class, so that what reads ``codebuild_projects`` finds the same names."""

    def __init__(self, arn: str, description: dict[str, Any]) -> None:
        self.arn = arn
        self.project_metadata = description

    @property
    def service_role(self) -> str:  # type: ignore[override]
        """Return the role's ARN."""
        return str(self.project_metadata["serviceRole"])

    @property
    def tags(self) -> list[dict[str, str]]:  # type: ignore[override]
        """Return the tags."""
        return list(self.project_metadata.get("tags") or [])


def create_project(self: CodeBuildResponse) -> ActionResult:
    """Make a project."""
    name = params_of(self).get("name") or ""
    if not _NAME.fullmatch(name):
        raise InvalidInputException(f"Invalid project name: {name!r}: expected letters, digits, - and _")
    projects = self.codebuild_backend.codebuild_projects
    if name in projects:
        raise ResourceAlreadyExistsException(
            f"Project already exists: arn:aws:codebuild:{self.region}:{self.current_account}:project/{name}"
        )
    missing = [key for key in _REQUIRED if not params_of(self).get(key)]
    if missing:
        raise InvalidInputException(f"Invalid input: {missing[0]} is required")
    arn = f"arn:aws:codebuild:{self.region}:{self.current_account}:project/{name}"
    description = _complete(
        {
            "arn": arn,
            "created": now(),
            "badge": {"badgeEnabled": False},
            "encryptionKey": f"arn:aws:kms:{self.region}:{self.current_account}:alias/aws/s3",
        },
        params_of(self),
    )
    _check(description)
    projects[name] = Project(arn, description)
    self.codebuild_backend.build_history[name] = []
    return ActionResult({"project": description})


def update_project(self: CodeBuildResponse) -> ActionResult:
    """Change what the request names."""
    project = find(self.codebuild_backend, params_of(self)["name"])
    description = _complete(project.project_metadata, params_of(self))
    _check(description)
    project.project_metadata = description
    return ActionResult({"project": description})


def delete_project(self: CodeBuildResponse) -> EmptyResult:
    """Remove a project and its builds; one that is not there is no error, as in AWS."""
    name = params_of(self)["name"].rpartition("/")[2]
    backend = self.codebuild_backend
    backend.codebuild_projects.pop(name, None)
    backend.build_history.pop(name, None)
    builds = of_backend(backend)
    for id_ in [id_ for id_ in builds if id_.rpartition(":")[0] == name]:
        del builds[id_]
    return EmptyResult()


def batch_get_projects(self: CodeBuildResponse) -> ActionResult:
    """Return projects by name or ARN."""
    projects = self.codebuild_backend.codebuild_projects
    by_name = {name: name.rpartition("/")[2] for name in params_of(self)["names"]}
    found = [projects[short].project_metadata for short in by_name.values() if short in projects]
    missing = [name for name, short in by_name.items() if short not in projects]
    return ActionResult({"projects": found, "projectsNotFound": missing})


def list_projects(self: CodeBuildResponse) -> ActionResult:
    """Return the names of all projects."""
    return ActionResult({"projects": sorted(self.codebuild_backend.codebuild_projects)})


def find(backend: CodeBuildBackend, name: str) -> CodeBuild:
    """Return a project.

    Raises:
        ResourceNotFoundException: there is none.
    """
    project = backend.codebuild_projects.get(name.rpartition("/")[2])
    if project is None:
        raise ResourceNotFoundException(f"Project cannot be found: {name}")
    return project


def params_of(response: CodeBuildResponse) -> dict[str, Any]:
    """Return a request's body; moto itself reads single parameters of it."""
    return cast(dict[str, Any], json.loads(response.body or "{}"))


def _complete(before: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return a description: what there was, what is given, and the service's defaults."""
    described = {**before, **{key: value for key, value in given.items() if value is not None}}
    described |= {
        "lastModified": now(),
        "timeoutInMinutes": described.get("timeoutInMinutes") or 60,
        "queuedTimeoutInMinutes": described.get("queuedTimeoutInMinutes") or 480,
        "cache": described.get("cache") or {"type": "NO_CACHE"},
        "projectVisibility": described.get("projectVisibility") or "PRIVATE",
        "source": {"insecureSsl": False, **described["source"]},
    }
    variables = described["environment"].get("environmentVariables") or []
    described["environment"] = {
        "imagePullCredentialsType": "CODEBUILD",
        "privilegedMode": False,
        **described["environment"],
        "environmentVariables": [{"type": "PLAINTEXT", **variable} for variable in variables],
    }
    if described["artifacts"]["type"] == _PIPELINE:
        defaults = {"name": described["name"], "packaging": "NONE", "encryptionDisabled": False}
        described["artifacts"] = defaults | described["artifacts"]
    # 0 and -1 take a limit away.
    for key in ("concurrentBuildLimit", "autoRetryLimit"):
        if (described.get(key) or 0) <= 0:
            described.pop(key, None)
    return described


def _check(described: dict[str, Any]) -> None:
    source, artifacts = described["source"]["type"], described["artifacts"]["type"]
    for kind, known, what in ((source, _SOURCES, "source"), (artifacts, _ARTIFACTS, "artifacts")):
        if kind not in known:
            raise InvalidInputException(
                f"Invalid {what} type: expected one of {', '.join(known)}, got {kind}"
            )
    if (source == _PIPELINE) != (artifacts == _PIPELINE):
        raise InvalidInputException(
            f"Invalid project: source type {source} and artifacts type {artifacts}: both or neither must be "
            "CODEPIPELINE"
        )
    if source == "NO_SOURCE" and not described["source"].get("buildspec"):
        raise InvalidInputException("Invalid project source: buildspec is required for NO_SOURCE")
    if artifacts == "S3" and not described["artifacts"].get("location"):
        raise InvalidInputException("Invalid artifacts: location is required for S3")
    if not described["serviceRole"].startswith("arn:"):
        raise InvalidInputException(
            f"Invalid service role: expected an ARN, got {described['serviceRole']!r}"
        )
    for key, low, high in (("timeoutInMinutes", 5, 2160), ("queuedTimeoutInMinutes", 5, 480)):
        if not low <= described[key] <= high:
            raise InvalidInputException(f"Invalid {key}: expected {low} to {high}, got {described[key]}")


def _install_projects() -> None:
    """Replace moto's calls."""
    for call in (
        create_project,
        update_project,
        delete_project,
        batch_get_projects,
        list_projects,
    ):
        setattr(CodeBuildResponse, call.__name__, call)


class AccountLimitExceeded(JsonRESTError):
    """More builds than the project's limit."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("AccountLimitExceededException", message)


def start_build(self: CodeBuildResponse) -> ActionResult:
    """Run a project, with what the request overrides."""
    params = {key: value for key, value in params_of(self).items() if value is not None}
    unknown = sorted(set(params) - set(_OVERRIDES) - _OTHERS)
    if unknown:
        raise InvalidInputException(f"{unknown[0]}: the sandbox does not offer this override")
    project = find(self.codebuild_backend, params["projectName"]).project_metadata
    _check_limit(self, project)
    project = _overridden(project, params)
    given = running.handed(params.get("idempotencyToken"))
    if project["source"]["type"] == "CODEPIPELINE" and given is None:
        raise InvalidInputException("Build source type CODEPIPELINE must be invoked from CodePipeline")
    if given and project["source"]["type"] != "CODEPIPELINE":
        raise InvalidInputException(
            f"project {project['name']}: expected source type CODEPIPELINE, got {project['source']['type']}"
        )
    initiator = f"codepipeline/{given.pipeline}" if given else _caller(self)
    request = BuildRequest(
        self.current_account, self.region, project, initiator, params.get("sourceVersion"), given
    )
    return ActionResult({"build": running.start(request).description})


def batch_get_builds(self: CodeBuildResponse) -> ActionResult:
    """Return builds by id or ARN."""
    records = of_backend(self.codebuild_backend)
    ids = {given: given.rpartition("build/")[2] for given in params_of(self)["ids"]}
    found = [records[id_].description for id_ in ids.values() if id_ in records]
    return ActionResult(
        {"builds": found, "buildsNotFound": [g for g, id_ in ids.items() if id_ not in records]}
    )


def list_builds_for_project(self: CodeBuildResponse) -> ActionResult:
    """List a project's builds, the newest first unless asked otherwise."""
    name = find(self.codebuild_backend, params_of(self)["projectName"]).project_metadata["name"]
    return _page(self, [r for r in _records(self) if r.description["projectName"] == name])


def list_builds(self: CodeBuildResponse) -> ActionResult:
    """List all builds, the newest first unless asked otherwise."""
    return _page(self, _records(self))


def stop_build(self: CodeBuildResponse) -> ActionResult:
    """Ask a build to end; answers before it has."""
    id_ = params_of(self)["id"].rpartition("build/")[2]
    record = of_backend(self.codebuild_backend).get(id_)
    if record is None:
        raise ResourceNotFoundException(f"Build cannot be found: {id_}")
    running.stop(id_)
    return ActionResult({"build": record.description})


def _records(response: CodeBuildResponse) -> list[BuildRecord]:
    return list(of_backend(response.codebuild_backend).values())


def _page(response: CodeBuildResponse, records: list[BuildRecord]) -> ActionResult:
    ids = [record.id for record in records]
    if (params_of(response).get("sortOrder") or "DESCENDING") == "DESCENDING":
        ids.reverse()
    token = params_of(response).get("nextToken")
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise InvalidInputException(
            f"nextToken: expected one that this call returned, got {token!r}"
        ) from None
    end = start + _PAGE
    more = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(ids) else None
    return ActionResult({"ids": ids[start:end], "nextToken": more})


def _overridden(project: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    changed = {**project, "source": {**project["source"]}, "environment": {**project["environment"]}}
    for key, place in _OVERRIDES.items():
        if key in params:
            target = changed if len(place) == 1 else changed[place[0]]
            target[place[-1]] = params[key]
    if params.get("sourceTypeOverride") and params["sourceTypeOverride"] != "CODEPIPELINE":
        # Without a pipeline there is nowhere to put its artifacts.
        changed["artifacts"] = params.get("artifactsOverride") or {"type": "NO_ARTIFACTS"}
    variables = {v["name"]: v for v in changed["environment"].get("environmentVariables") or []}
    for given in params.get("environmentVariablesOverride") or []:
        variables[given["name"]] = {"type": "PLAINTEXT", **given}
    changed["environment"]["environmentVariables"] = list(variables.values())
    return changed


def _check_limit(response: CodeBuildResponse, project: dict[str, Any]) -> None:
    limit = project.get("concurrentBuildLimit")
    running = sum(
        record.description["projectName"] == project["name"]
        and record.description["buildStatus"] == IN_PROGRESS
        for record in _records(response)
    )
    if limit and running >= limit:
        raise AccountLimitExceeded(
            f"Cannot have more than {limit} builds in queue for the project {project['name']}"
        )


def _caller(response: CodeBuildResponse) -> str:
    """Return who starts a build, as CODEBUILD_INITIATOR shows it: role/session, or the user's name."""
    backend = sts_backends[response.current_account]["aws"]
    session = backend.get_assumed_role_from_access_key(response.get_access_key())
    if session is None:
        return "user"
    return f"{session.role_arn.rpartition('/')[2]}/{session.session_name}"


def _install_builds() -> None:
    """Replace moto's calls."""
    for call in (start_build, batch_get_builds, list_builds_for_project, list_builds, stop_build):
        setattr(CodeBuildResponse, call.__name__, call)


def install() -> None:
    """Patch moto."""
    _install_projects()
    _install_builds()
