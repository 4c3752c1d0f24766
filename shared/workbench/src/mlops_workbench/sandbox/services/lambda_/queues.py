"""Event source mappings: queues that are read for a function, in batches, as the function's role.

What the function handled is deleted. What it did not (an error: the whole batch; with
``ReportBatchItemFailures``: the listed messages) is seen again after the queue's visibility time-out, until
the queue's redrive policy takes it to the dead-letter queue.
"""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.awslambda.models import EventSourceMapping, lambda_backends
from moto.sqs.models import sqs_backends
from werkzeug.exceptions import HTTPException

from mlops_workbench.sandbox import clients
from mlops_workbench.sandbox.containers.functions import function_environment, run
from mlops_workbench.sandbox.errors import AccessDenied, JobStopped
from mlops_workbench.sandbox.history import DELIVERED, Delivery, now
from mlops_workbench.sandbox.session import current
from mlops_workbench.sandbox.work import Work

#: Seconds between two looks at the queues; a look reads moto's lists, it is not a call.
POLL = 0.2


class _Reader:
    """What reads the queues of an open sandbox.

    Attributes:
        reading: whether somebody does.
        busy: the mappings whose batch is being handled.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.reading = False
        self.busy: set[str] = set()


def wake() -> None:
    """Begin to read, if there is a mapping and nobody reads yet."""
    reader, work = current().part(_Reader), current().work
    with reader.lock:
        if reader.reading or work.stopping.is_set() or not _mappings():
            return
        reader.reading = True
    work.begin("queues", lambda: _read(reader, work), lasting=True)


def _mappings() -> list[EventSourceMapping]:
    return [
        mapping
        for account, region, _ in lambda_backends.iter_backends()
        for mapping in list(lambda_backends[account][region]._event_source_mappings.values())
        if mapping.enabled and mapping.event_source_arn.split(":")[2] == "sqs"
    ]


def _read(reader: _Reader, work: Work) -> None:
    while not work.stopping.wait(POLL):
        for mapping in _mappings():
            if mapping.uuid not in reader.busy and _waiting(mapping.event_source_arn):
                reader.busy.add(mapping.uuid)
                name = f"queue {mapping.event_source_arn}"
                work.begin(name, lambda mapping=mapping: _batch(mapping, reader, work))  # type: ignore[misc]


def _waiting(queue_arn: str) -> bool:
    _, _, _, region, account, name = queue_arn.split(":")
    queue = sqs_backends[account][region].queues.get(name)
    return queue is not None and bool(queue.messages)


def _batch(mapping: EventSourceMapping, reader: _Reader, work: Work) -> None:
    outcome = ""
    try:
        outcome = _handle(mapping, work.stopping)
    except HTTPException:
        outcome = "failed: the function does not exist"
    except (ClientError, BotoCoreError) as error:
        outcome = f"failed: {error}"
    finally:
        if outcome:
            _remember(mapping, outcome)
        if outcome.startswith("failed"):
            # A reader without permission must not ask a hundred times a second.
            work.stopping.wait(1.0)
        reader.busy.discard(mapping.uuid)


def _handle(mapping: EventSourceMapping, stopping: threading.Event) -> str:
    """Read one batch and call the function; returns the outcome, or "" if there was nothing."""
    arn = mapping.event_source_arn
    function = lambda_backends[mapping.account_id][mapping.region].get_function(mapping.function_arn)
    try:
        environment = function_environment(function)
        client = clients.from_environment("sqs", environment)
        # Not asked for: Lambda's reader needs no sqs:GetQueueUrl.
        url = "/".join([environment["AWS_ENDPOINT_URL"], *arn.split(":")[-2:]])
        messages = _receive(client, url, mapping.batch_size)
        if not messages:
            return ""
        event = {"Records": [_record(message, arn, mapping.region) for message in messages]}
        invocation, _ = run(function, event, stopping)
    except JobStopped:
        return ""
    except AccessDenied as error:
        return f"failed: {error}"
    if invocation.error is not None:
        return f"failed: {invocation.error.get('errorMessage', '')}"
    kept = _failures(invocation.payload, messages) if mapping.function_response_types else set()
    done = [message for message in messages if message["MessageId"] not in kept]
    for start in range(0, len(done), 10):
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(done[start : start + 10])
        ]
        client.delete_message_batch(QueueUrl=url, Entries=entries)
    return f"failed: {len(kept)} of {len(messages)} messages" if kept else DELIVERED


def _receive(client: Any, url: str, size: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while len(messages) < size:
        answer = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(10, size - len(messages)),
            WaitTimeSeconds=0,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        received = answer.get("Messages", [])
        messages += received
        if not received:
            break
    return messages


def _record(message: dict[str, Any], queue_arn: str, region: str) -> dict[str, Any]:
    attributes = {
        name: {
            key[0].lower() + key[1:]: value
            for key, value in entry.items()
            if key in ("StringValue", "DataType")
        }
        | {"stringListValues": [], "binaryListValues": []}
        for name, entry in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


def _failures(payload: Any, messages: list[dict[str, Any]]) -> set[str]:
    """Return the ids that a function reports as failed; all of them if its answer cannot be read.

    [read] AWS Lambda developer guide, "Implementing partial batch responses": an empty or missing list is
    success; an answer that is not of this form, or an unknown id, fails the batch.
    """
    everything = {message["MessageId"] for message in messages}
    if payload in (None, {}):
        return set()
    if not isinstance(payload, dict):
        return everything
    failures = payload.get("batchItemFailures") or []
    try:
        reported = {str(entry["itemIdentifier"]) for entry in failures}
    except (TypeError, KeyError):
        return everything
    return reported if reported <= everything else everything


def _remember(mapping: EventSourceMapping, outcome: str) -> None:
    current().history.record(
        Delivery(
            now(),
            mapping.account_id,
            mapping.region,
            "aws.sqs",
            "Messages",
            mapping.event_source_arn.rsplit(":", 1)[-1],
            mapping.event_source_arn,
            mapping.function_arn,
            outcome,
        )
    )
