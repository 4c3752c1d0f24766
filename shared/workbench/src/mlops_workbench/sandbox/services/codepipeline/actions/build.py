"""CodeBuild, as a build or as a test. [read] in "AWS CodeBuild build and test action reference"."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from mlops_workbench.sandbox.iam.acting import as_account
from mlops_workbench.sandbox.services.codepipeline.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.services.codepipeline.records import Artifact
from mlops_workbench.sandbox.session import current

_POLL = 0.05  # seconds


class Builds:
    """The builds that actions of an open sandbox wait for: whether each has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, threading.Event] = {}

    def end_of(self, arn: str) -> threading.Event:
        """Return what is set at a build's end; it may have come before somebody waits for it."""
        with self._lock:
            return self._ends.setdefault(arn, threading.Event())

    def forget(self, arn: str) -> None:
        """Wait no more."""
        with self._lock:
            self._ends.pop(arn, None)

    def told(self, detail: Mapping[str, Any]) -> None:
        """Take the detail of an event "CodeBuild Build State Change"."""
        information = detail["additional-information"]
        if information["build-complete"] and information["initiator"].startswith("codepipeline/"):
            self.end_of(detail["build-id"]).set()


def run(action: Action) -> None:
    """Start the project with the action's artifacts and variables, wait for its end."""
    settings = action.configuration
    if settings.get("BatchEnabled", "false").lower() == "true":
        raise ActionFailed("BatchEnabled: the sandbox has no batch builds", "ConfigurationError")
    outputs = action.outputs()
    given = {
        "pipeline": action.execution.name,
        "sources": [{**_place(each), "revision": each.revision} for each in action.run.inputs],
        "primary": settings.get("PrimarySource") or action.run.inputs[0].name,
        "outputs": [_place(each) for each in outputs],
        "key_id": action.store.key_id,
    }
    client = action.client("codebuild")
    # The call goes over the API, with the pipeline's role, so that a permission that lacks is found.
    token, handed = uuid.uuid4().hex, current().handed
    handed[token] = given
    try:
        started = client.start_build(
            projectName=settings["ProjectName"],
            environmentVariablesOverride=_variables(settings.get("EnvironmentVariables")),
            idempotencyToken=token,
        )["build"]
    finally:
        handed.pop(token, None)
    id_ = started["id"]
    action.run.update(external_id=id_, external_url=started.get("logs", {}).get("deepLink", ""))
    _wait(action, id_, started["arn"])
    (build,) = client.batch_get_builds(ids=[id_])["builds"]
    exported = build.get("exportedEnvironmentVariables") or []
    action.run.update(variables={entry["name"]: entry["value"] for entry in exported})
    if build["buildStatus"] != "SUCCEEDED":
        raise ActionFailed(
            f"Build terminated with state: {build['buildStatus']}. {_reason(build)}".strip(),
            "JobFailed",
        )
    for output in outputs:
        output.revision = action.run.inputs[0].revision
    action.finish(outputs)


def _variables(text: str | None) -> list[dict[str, str]]:
    """Read the action's EnvironmentVariables: JSON, a list of name, value and type."""
    if not text:
        return []
    try:
        variables = json.loads(text)
        return [{"type": "PLAINTEXT", **variable} for variable in variables]
    except (ValueError, TypeError):
        raise ActionFailed(
            f"EnvironmentVariables: expected a JSON list of objects, got {text!r}", "ConfigurationError"
        ) from None


def _wait(action: Action, id_: str, arn: str) -> None:
    """Wait for a build's end, of which CodeBuild tells; one whose execution is abandoned is stopped."""
    builds = current().part(Builds)
    ended, asked = builds.end_of(arn), False
    while not ended.wait(_POLL):
        if action.abandon.is_set() and not asked:
            asked = True
            as_account("codebuild", action.execution.account, action.run.region).stop_build(id=id_)
    builds.forget(arn)


def _place(artifact: Artifact) -> dict[str, str]:
    return {"name": artifact.name, "bucket": artifact.bucket, "key": artifact.key}


def _reason(build: dict[str, Any]) -> str:
    """Return what the first failed phase says."""
    for phase in build["phases"]:
        if phase.get("phaseStatus") not in ("SUCCEEDED", None):
            messages = [context.get("message", "") for context in phase.get("contexts") or []]
            return f"Phase: {phase['phaseType']}, Code: {phase['contexts'][0].get('statusCode', '')}, " + (
                f"Message: {' '.join(messages)}"
            )
    return ""
