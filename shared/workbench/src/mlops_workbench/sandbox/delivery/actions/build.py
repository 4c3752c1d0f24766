"""CodeBuild, as a build or as a test. [read] in "AWS CodeBuild build and test action reference"."""

from __future__ import annotations

import json
import threading
from typing import Any

from mlops_workbench.sandbox.delivery import builds
from mlops_workbench.sandbox.delivery.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.delivery.requests import Location, PipelineInput

_POLL = 0.05  # seconds


def run(action: Action) -> None:
    """Start the project with the action's artifacts and variables, wait for its end."""
    settings = action.configuration
    if settings.get("BatchEnabled", "false").lower() == "true":
        raise ActionFailed("BatchEnabled: the sandbox has no batch builds", "ConfigurationError")
    outputs = action.outputs()
    sources = tuple(Location(a.name, a.bucket, a.key, a.revision) for a in action.run.inputs)
    given = PipelineInput(
        action.execution.name,
        sources,
        settings.get("PrimarySource") or sources[0].name,
        tuple(Location(a.name, a.bucket, a.key) for a in outputs),
        action.store.key_id,
    )
    client = action.client("codebuild")
    with builds.handing(given) as token:
        started = client.start_build(
            projectName=settings["ProjectName"],
            environmentVariablesOverride=_variables(settings.get("EnvironmentVariables")),
            idempotencyToken=token,
        )["build"]
    id_ = started["id"]
    action.run.update(external_id=id_, external_url=started.get("logs", {}).get("deepLink", ""))
    build = _wait(action, client, id_)
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


def _wait(action: Action, client: Any, id_: str) -> dict[str, Any]:
    waiter = threading.Thread(target=builds.wait, args=(id_,), daemon=True)
    waiter.start()
    while waiter.is_alive():
        if action.abandon.is_set():
            builds.stop(id_)
        waiter.join(_POLL)
    (build,) = client.batch_get_builds(ids=[id_])["builds"]
    return dict(build)


def _reason(build: dict[str, Any]) -> str:
    """Return what the first failed phase says."""
    for phase in build["phases"]:
        if phase.get("phaseStatus") not in ("SUCCEEDED", None):
            messages = [context.get("message", "") for context in phase.get("contexts") or []]
            return f"Phase: {phase['phaseType']}, Code: {phase['contexts'][0].get('statusCode', '')}, " + (
                f"Message: {' '.join(messages)}"
            )
    return ""
