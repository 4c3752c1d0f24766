"""Builds: start, stop, list, BatchGetBuilds.

moto 5.2.5 has no processes: its builds are Succeeded when they are looked at.
"""

from __future__ import annotations

import base64
from typing import Any

from moto.codebuild.exceptions import InvalidInputException, ResourceNotFoundException
from moto.codebuild.responses import CodeBuildResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.sts.models import sts_backends

from mlops_workbench.sandbox.aws.codebuild import projects
from mlops_workbench.sandbox.aws.codebuild.projects import params_of
from mlops_workbench.sandbox.delivery import builds
from mlops_workbench.sandbox.delivery.build_records import IN_PROGRESS, BuildRecord, of_backend
from mlops_workbench.sandbox.delivery.requests import BuildRequest

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
    project = projects.find(self.codebuild_backend, params["projectName"]).project_metadata
    _check_limit(self, project)
    project = _overridden(project, params)
    given = builds.handed(params.get("idempotencyToken"))
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
    return ActionResult({"build": builds.start(request).description})


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
    name = projects.find(self.codebuild_backend, params_of(self)["projectName"]).project_metadata["name"]
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
    builds.stop(id_)
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


def install() -> None:
    """Replace moto's calls."""
    for call in (start_build, batch_get_builds, list_builds_for_project, list_builds, stop_build):
        setattr(CodeBuildResponse, call.__name__, call)
