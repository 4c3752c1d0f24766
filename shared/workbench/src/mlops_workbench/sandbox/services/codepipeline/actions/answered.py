"""Actions that wait for an answer: a person's (manual approval) and a function's (Lambda).

A manual approval waits for PutApprovalResult, and tells a topic so; the message's form is [read] in "JSON
data format for manual approval notifications". A function gets a job and answers by PutJobSuccessResult or
PutJobFailureResult; the event's form is [read] in "Invoke an AWS Lambda function in a pipeline".
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mlops_workbench.sandbox.services.codepipeline.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.services.codepipeline.records import Artifact, now
from mlops_workbench.sandbox.session import current

#: Seven days: the service's limit.
_DEFAULT_MINUTES = 7 * 24 * 60
_POLL = 0.05  # seconds
_LONGEST_SUBJECT = 100  # characters: SNS's limit
_LONGEST_ERROR = 1000  # characters


def approval(action: Action) -> None:
    """Wait for a person's answer."""
    token = str(uuid.uuid4())
    minutes = action.declaration.get("timeoutInMinutes") or _DEFAULT_MINUTES
    link = action.configuration.get("ExternalEntityLink", "")
    action.run.update(token=token, external_url=link)
    if topic := action.configuration.get("NotificationArn"):
        _notify(action, topic, token, minutes)
    deadline = time.monotonic() + minutes * 60
    while action.run.approval is None:
        if time.monotonic() >= deadline:
            raise ActionFailed("The approval action has expired.", "JobTimedOut")
        # An execution that is stopped does not wait for a person.
        if action.stop.wait(_POLL):
            raise ActionFailed("The execution was stopped before the approval.", "JobFailed")
    answer = action.run.approval
    action.run.update(summary=answer["summary"], updated_by=answer["by"])
    if answer["status"] != "Approved":
        raise ActionFailed("Rejected" + (f": {answer['summary']}" if answer["summary"] else ""), "JobFailed")


def _notify(action: Action, topic: str, token: str, minutes: int) -> None:
    execution, settings = action.execution, action.configuration
    home = (
        f"https://console.aws.amazon.com/codepipeline/home?region={execution.region}#/view/{execution.name}"
    )
    expires = now() + timedelta(minutes=minutes)
    approval = {
        "pipelineName": execution.name,
        "stageName": action.run.stage,
        "actionName": action.run.name,
        "token": token,
        "expires": f"{expires:%Y-%m-%dT%H:%MZ}",
        "externalEntityLink": settings.get("ExternalEntityLink"),
        "approvalReviewLink": f"{home}/{action.run.stage}/{action.run.name}/approve/{token}",
        "customData": settings.get("CustomData"),
    }
    message = {"region": execution.region, "consoleLink": home, "approval": approval}
    subject = f"APPROVAL NEEDED: AWS CodePipeline {execution.name} for action {action.run.name}"
    client = action.client("sns")
    client.publish(TopicArn=topic, Subject=subject[:_LONGEST_SUBJECT], Message=json.dumps(message))


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


def function(action: Action) -> None:
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
