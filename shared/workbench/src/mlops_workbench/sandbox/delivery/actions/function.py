"""Lambda: the function gets a job and answers by PutJobSuccessResult or PutJobFailureResult.

The event's form is [read] in "Invoke an AWS Lambda function in a pipeline".
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.delivery.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.delivery.executions import Artifact
from mlops_workbench.sandbox.session import current

_LONGEST_ERROR = 1000  # characters


@dataclass
class Job:
    """A job that a function works on: how it ended, once it has."""

    succeeded: bool | None = None
    message: str = ""
    variables: dict[str, str] | None = None
    external_id: str = ""


class _Jobs:
    """The jobs of an open sandbox that functions work on."""

    def __init__(self) -> None:
        self.by_id: dict[str, Job] = {}


def job(id_: str) -> Job | None:
    """Return a job that runs."""
    return current().part(_Jobs).by_id.get(id_)


def run(action: Action) -> None:
    """Invoke the function and take its result."""
    outputs = action.outputs()
    id_, work = str(uuid.uuid4()), Job()
    jobs = current().part(_Jobs).by_id
    jobs[id_] = work
    try:
        answer = action.client("lambda").invoke(
            FunctionName=action.configuration["FunctionName"],
            Payload=json.dumps(_event(action, id_, outputs)).encode(),
        )
        payload = answer["Payload"].read().decode("utf-8", "replace")
    finally:
        jobs.pop(id_)
    action.run.update(external_id=work.external_id, variables=work.variables or {})
    if answer.get("FunctionError"):
        raise ActionFailed(f"The function failed: {payload[:_LONGEST_ERROR]}")
    if work.succeeded is None:
        raise ActionFailed(
            "The function ended without PutJobSuccessResult or PutJobFailureResult; "
            "AWS would wait for one until the action's time-out",
            "JobTimedOut",
        )
    if not work.succeeded:
        raise ActionFailed(work.message)
    action.finish(outputs)


def _event(action: Action, id_: str, outputs: list[Artifact]) -> dict[str, Any]:
    settings, keys = action.configuration, action.role.environment
    given = {key: settings[key] for key in ("FunctionName", "UserParameters") if key in settings}
    data: dict[str, Any] = {
        "actionConfiguration": {"configuration": given},
        "inputArtifacts": [_artifact(artifact) for artifact in action.run.inputs],
        "outputArtifacts": [_artifact(artifact) for artifact in outputs],
        "artifactCredentials": {
            "accessKeyId": keys["AWS_ACCESS_KEY_ID"],
            "secretAccessKey": keys["AWS_SECRET_ACCESS_KEY"],
            "sessionToken": keys["AWS_SESSION_TOKEN"],
        },
    }
    if action.store.key_id:
        data["encryptionKey"] = {"id": action.store.key_id, "type": "KMS"}
    return {"CodePipeline.job": {"id": id_, "accountId": action.execution.account, "data": data}}


def _artifact(artifact: Artifact) -> dict[str, Any]:
    place = {"bucketName": artifact.bucket, "objectKey": artifact.key}
    return {
        "name": artifact.name,
        "revision": artifact.revision or None,
        "location": {"type": "S3", "s3Location": place},
    }
