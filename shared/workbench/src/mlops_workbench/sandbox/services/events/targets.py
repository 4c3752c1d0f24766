"""Delivering to a target: what it receives, with the permissions that EventBridge would have.

It receives the event, a part of it, a constant, or a template filled in. [read] Amazon EventBridge user
guide, "Input transformation": an unquoted variable becomes JSON, with quotes if it is a text; within a
quoted text it is put in as it is; a path that is not there gives no text.

A target with a role is called as that role. Queues, topics, functions and log groups are asked by their
own policies. One attempt each: EventBridge tries for up to a day, which here only hides the mistake.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.errors import AccessDenied, SandboxError
from mlops_workbench.sandbox.iam import acting, decide

_STEP = re.compile(r"\.([\w-]+)|\[(\d+|\*)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_VARIABLE = re.compile(r"<([\w.-]+)>")
_MISSING = object()
PRINCIPAL = "events.amazonaws.com"


class InputError(Exception):
    """The input cannot be made; the event goes to the target's dead-letter queue."""


def find(event: Any, path: str) -> Any:
    """Return what a JSONPath (``$.detail.object.key``, ``$.resources[0]``) points at.

    Raises:
        InputError: it is not a path that EventBridge takes.
        KeyError: there is nothing.
    """
    found = _find(event, path)
    if found is _MISSING:
        raise KeyError(path)
    return found


def _find(event: Any, path: str) -> Any:
    if not path.startswith("$"):
        raise InputError(f"expected a JSONPath that begins with $, got {path!r}")
    node, at = event, 1
    while at < len(path):
        step = _STEP.match(path, at)
        if not step:
            raise InputError(f"expected a JSONPath of names and indexes, got {path!r}")
        at = step.end()
        name, index = step[1] or step[3] or step[4], step[2]
        if name is not None:
            if not isinstance(node, Mapping) or name not in node:
                return _MISSING
            node = node[name]
        elif not isinstance(node, list):
            return _MISSING
        elif index == "*":
            rest = "$" + path[at:]
            found = [_find(item, rest) for item in node]
            return [item for item in found if item is not _MISSING]
        elif int(index) >= len(node):
            return _MISSING
        else:
            node = node[int(index)]
    return node


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str) -> str:
    """Return the text that a target receives for an event.

    Args:
        target: as PutTargets took it.
        event: in the form of its JSON.
        rule_arn: of the rule that matched, for the variables that name it.

    Raises:
        InputError: a template does not give JSON, or a path is not one.
    """
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        found = _find(event, target["InputPath"])
        return json.dumps(None if found is _MISSING else found)
    if transformer := target.get("InputTransformer"):
        values = {
            "aws.events.rule-arn": rule_arn,
            "aws.events.rule-name": rule_arn.rsplit("/", 1)[-1],
            "aws.events.event.ingestion-time": event["time"],
            "aws.events.event.json": dict(event),
            "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        }
        for name, path in (transformer.get("InputPathsMap") or {}).items():
            if (value := _find(event, path)) is not _MISSING:
                values[name] = value
        return fill(transformer["InputTemplate"], values)
    return json.dumps(event)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its variables replaced.

    Raises:
        InputError: the result is neither JSON nor lines of quoted text.
    """
    parts, at, quoted = [], 0, False
    while at < len(template):
        character = template[at]
        if character == "\\" and quoted:
            parts.append(template[at : at + 2])
            at += 2
            continue
        if character == '"':
            quoted = not quoted
        if character == "<" and (variable := _VARIABLE.match(template, at)):
            value = values.get(variable[1], "")
            parts.append(_within_quotes(value) if quoted else json.dumps(value))
            at = variable.end()
            continue
        parts.append(character)
        at += 1
    text = "".join(parts)
    try:
        json.loads(text)
    except ValueError:
        # Several quoted lines are allowed; each is JSON of its own.
        try:
            for line in text.strip().splitlines():
                json.loads(line)
        except ValueError:
            raise InputError(f"the input template gives no JSON: {text}") from None
    return text


def _within_quotes(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)[1:-1]
    # An object within a text loses its quotation marks.
    return json.dumps(value, separators=(",", ":")).replace("\\", "").replace('"', "")


class DeliveryFailed(Exception):
    """A target did not take an event.

    Attributes:
        code: as the dead-letter queue gets it, e.g. ``NO_PERMISSIONS``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Call:
    """One event on its way to one target.

    Attributes:
        rule, account, region: the rule's ARN and where it is.
        target: as PutTargets took it.
        event: the whole event.
        text: what the target receives.
    """

    rule: str
    account: str
    region: str
    target: Mapping[str, Any]
    event: Mapping[str, Any]
    text: str

    @property
    def arn(self) -> str:
        """Return the target's ARN."""
        return str(self.target["Arn"])

    @property
    def place(self) -> tuple[str, str]:
        """Return the account and the region of the target."""
        _, _, _, region, account = self.arn.split(":")[:5]
        return account, region

    def as_role(self, service: str) -> Any:
        """Return a client with the target's role."""
        role = self.target.get("RoleArn")
        if not role:
            raise DeliveryFailed("NO_PERMISSIONS", f"a target of {service} needs a role")
        try:
            return acting.as_role(service, role, PRINCIPAL, self.place[1], self.rule.rsplit("/", 1)[-1][:64])
        except AccessDenied as error:
            raise DeliveryFailed("NO_PERMISSIONS", str(error)) from None

    def admitted(self, action: str) -> None:
        """Check the target's own policy."""
        if refusal := decide.refusal(self.arn, PRINCIPAL, action, self.rule, self.account):
            raise DeliveryFailed("NO_PERMISSIONS", refusal)


def deliver(call: Call, takers: Mapping[str, Callable[[Call], None]]) -> None:
    """Give an event to its target.

    Args:
        call: what goes where.
        takers: what takes it, by the target's service; ``TAKERS`` and the buses.

    Raises:
        DeliveryFailed: it was not taken.
    """
    service = call.arn.split(":")[2]
    if service not in takers:
        raise DeliveryFailed("UNSUPPORTED_TARGET", f"the sandbox does not deliver to {service}")
    try:
        takers[service](call)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        raise DeliveryFailed(_code(code), str(error)) from None
    except (BotoCoreError, SandboxError, InputError) as error:
        raise DeliveryFailed("SDK_CLIENT_ERROR", str(error)) from None


def bury(queue_arn: str, rule: str, target: str, text: str, failure: DeliveryFailed) -> None:
    """Send what could not be delivered to a dead-letter queue.

    Raises:
        DeliveryFailed: the queue does not take it.
    """
    if refusal := decide.refusal(queue_arn, PRINCIPAL, "sqs:SendMessage", rule, rule.split(":")[4]):
        raise DeliveryFailed("NO_PERMISSIONS", refusal)
    values = {
        "RULE_ARN": rule,
        "TARGET_ARN": target,
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": str(failure)[:1000] or failure.code,
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
    try:
        _send(queue_arn, text, MessageAttributes=attributes)
    except ClientError as error:
        raise DeliveryFailed("SDK_CLIENT_ERROR", str(error)) from None


def _code(code: str) -> str:
    if "AccessDenied" in code or "NotAuthorized" in code or "AuthorizationError" in code:
        return "NO_PERMISSIONS"
    missing = ("NotFound", "NonExistent", "DoesNotExist", "NoSuch")
    return "NO_RESOURCE" if any(word in code for word in missing) else "SDK_CLIENT_ERROR"


def _codepipeline(call: Call) -> None:
    request: dict[str, Any] = {"name": call.arn.rsplit(":", 1)[-1]}
    given = _object(call.text)
    # A transformed input may choose the revision of a source, or variables; a whole event starts the newest.
    for key in ("sourceRevisions", "variables"):
        if isinstance(given.get(key), list):
            request[key] = given[key]
    call.as_role("codepipeline").start_pipeline_execution(**request)


def _sagemaker(call: Call) -> None:
    name = call.arn.rsplit("/", 1)[-1]
    parameters = []
    declared = (call.target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or []
    for parameter in declared:
        value = str(parameter["Value"])
        if value.startswith(("$.", "$[")):
            try:
                value = _text(find(json.loads(call.text), value))
            except KeyError:
                message = f"parameter {parameter['Name']}: the event has no {value}"
                raise DeliveryFailed("INVALID_PARAMETER", message) from None
        parameters.append({"Name": parameter["Name"], "Value": value})
    call.as_role("sagemaker").start_pipeline_execution(PipelineName=name, PipelineParameters=parameters)


def _lambda(call: Call) -> None:
    call.admitted("lambda:InvokeFunction")
    client = acting.as_account("lambda", *call.place)
    client.invoke(FunctionName=call.arn, InvocationType="Event", Payload=call.text.encode())


def _sqs(call: Call) -> None:
    call.admitted("sqs:SendMessage")
    group = (call.target.get("SqsParameters") or {}).get("MessageGroupId")
    more = {"MessageGroupId": group, "MessageDeduplicationId": call.event["id"]} if group else {}
    _send(call.arn, call.text, **more)


def _sns(call: Call) -> None:
    call.admitted("sns:Publish")
    acting.as_account("sns", *call.place).publish(TopicArn=call.arn, Message=call.text)


def _logs(call: Call) -> None:
    call.admitted("logs:PutLogEvents")
    group = call.arn.split(":log-group:", 1)[-1].removesuffix(":*")
    client = acting.as_account("logs", *call.place)
    stream = str(uuid.uuid4())
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    line = {"timestamp": int(time.time() * 1000), "message": call.text}
    client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[line])


TAKERS: Mapping[str, Callable[[Call], None]] = {
    "codepipeline": _codepipeline,
    "lambda": _lambda,
    "logs": _logs,
    "sagemaker": _sagemaker,
    "sns": _sns,
    "sqs": _sqs,
}


def _send(queue_arn: str, text: str, **more: Any) -> None:
    _, _, _, region, account, name = queue_arn.split(":")
    client = acting.as_account("sqs", account, region)
    client.send_message(QueueUrl=client.get_queue_url(QueueName=name)["QueueUrl"], MessageBody=text, **more)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
