"""Manual approval: waits for PutApprovalResult, and tells a topic so.

The message's form is [read] in "JSON data format for manual approval notifications".
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import timedelta

from mlops_workbench.sandbox.delivery.actions.action import Action, ActionFailed
from mlops_workbench.sandbox.delivery.executions import now

#: Seven days: the service's limit.
_DEFAULT_MINUTES = 7 * 24 * 60
_POLL = 0.05  # seconds
_LONGEST_SUBJECT = 100  # characters: SNS's limit


def run(action: Action) -> None:
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
