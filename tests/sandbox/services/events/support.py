"""What the tests of events share: functions, queues, rules, and waiting."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from tests.waiting import FOREVER, wait_for

ACCOUNT, REGION = "111111111111", "ca-central-1"


def policy(service: str, action: str, source: str | None = None) -> dict[str, Any]:
    """Return a resource policy that admits a service."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": "*",
    }
    if source:
        statement["Condition"] = {"ArnEquals": {"aws:SourceArn": source}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def make_role(sandbox: Sandbox, name: str, service: str, *actions: str) -> str:
    """Make a role that a service may take, and return its ARN."""
    iam = sandbox.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document)
    return arn


def make_function(sandbox: Sandbox, code: str, name: str = "worker", **more: Any) -> str:
    """Make a Lambda function of one file and return its ARN."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", code)
    role = more.pop("Role", None) or make_role(sandbox, f"{name}-role", "lambda.amazonaws.com")
    answer = sandbox.client("lambda").create_function(
        FunctionName=name, Runtime="python3.12", Role=role, Handler="app.handler", Timeout=20,
        Code={"ZipFile": packed.getvalue()}, **more,
    )  # fmt: skip
    arn: str = answer["FunctionArn"]
    return arn


@dataclass
class Queue:
    """A queue that AWS services may write to, unless made otherwise."""

    client: Any
    url: str
    arn: str

    @classmethod
    def make(cls, sandbox: Sandbox, name: str = "queue", **attributes: str) -> Queue:
        client = sandbox.client("sqs")
        statements = [
            *policy("events.amazonaws.com", "sqs:SendMessage")["Statement"],
            *policy("sns.amazonaws.com", "sqs:SendMessage")["Statement"],
        ]
        default = json.dumps({"Version": "2012-10-17", "Statement": statements})
        url = client.create_queue(QueueName=name, Attributes={"Policy": default, **attributes})["QueueUrl"]
        return cls(client, url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")

    def receive(self) -> list[dict[str, Any]]:
        """Return messages as soon as there are any."""
        return wait_for(self.there)

    def there(self) -> list[dict[str, Any]]:
        """Return the messages that are there now."""
        answer = self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return list(answer.get("Messages", []))

    def bodies(self) -> list[Any]:
        """Return what has arrived once nothing is being delivered, parsed."""
        assert events.wait_idle(FOREVER)
        return [json.loads(message["Body"]) for message in self.there()]


def make_rule(sandbox: Sandbox, pattern: dict[str, Any], *targets: dict[str, Any], name: str = "rule") -> str:
    """Make a rule and return its ARN; targets get an Id each."""
    client = sandbox.client("events")
    arn: str = client.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    if targets:
        numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
        client.put_targets(Rule=name, Targets=numbered)
    return arn
