"""Lambda behind `POST /bitbucket/{repository}`: check an event, queue one message for each branch that moved.

The secret is chosen by the repository of the URL, before anything of the body is read. A repository that is
not registered and a signature that does not match get the same answer. What is queued is harmless to repeat,
so an event that was queued in part is answered 500 and can be sent again whole.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from bridge import log
from bridge.event import MalformedEvent, Message, parse_object, parse_push
from bridge.secrets import SecretUnusable, WebhookSecret, WebhookSecrets

# A push of thousands of branches fits; API Gateway would pass on ten times as much.
BODY_BYTES = 1024 * 1024
PUSH, PING = "repo:refs_changed", "diagnostics:ping"
BATCH = 10  # Amazon SQS: messages of one SendMessageBatch
ATTEMPTS = 3
# Bitbucket waits: better an error within seconds than boto3's minute.
CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


class Refused(Exception):
    """The request is answered with this status and this text, which say nothing of what is registered."""

    def __init__(self, status: int, text: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.text, self.reason = status, text, reason


@dataclass
class Service:
    """What a warm Lambda keeps between events."""

    queue_url: str
    queue: Any
    secrets: WebhookSecrets


@cache
def service() -> Service:
    """Return the clients and the cache of secrets, made once from the environment."""
    secrets_client = boto3.client("secretsmanager", config=CONFIG)
    return Service(
        queue_url=os.environ["QUEUE_URL"],
        queue=boto3.client("sqs", config=CONFIG),
        secrets=WebhookSecrets(secrets_client, os.environ["SECRET_PREFIX"]),
    )


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:
    """Answer an event of API Gateway (HTTP API, payload version 2.0)."""
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    repository = str((event.get("pathParameters") or {}).get("repository", ""))
    about = {"repository": repository[:128], "request_id": headers.get("x-request-id", "")[:128]}
    try:
        return accept(repository, headers, read_body(event), about)
    except Refused as refused:
        log("WARNING", "refused", status=refused.status, reason=refused.reason, **about)
        return answer(refused.status, message=refused.text)
    except Exception as error:  # whatever it is, Bitbucket hears of it, and the caller learns nothing
        reason = str(error) if isinstance(error, SecretUnusable) else type(error).__name__
        log("ERROR", "failed", reason=reason, **about)
        return answer(500, message="internal error; send the event again")


def accept(
    repository: str, headers: Mapping[str, str], body: bytes, about: Mapping[str, str]
) -> dict[str, Any]:
    """Check the request and queue what it asks for.

    Raises:
        Refused: the request is not one to act on.
    """
    key = headers.get("x-event-key", "")
    if key == PING:
        # "Test connection" in Bitbucket; it may be unsigned, and nothing depends on it.
        return answer(200, message="pong")
    known = verified(repository, body, headers.get("x-hub-signature"))
    if key != PUSH:
        log("INFO", "ignored", event_key=key[:64], **about)
        return answer(200, message="ignored: not a push")
    try:
        push = parse_push(parse_object(body), about["request_id"])
    except MalformedEvent as error:
        raise Refused(400, str(error), str(error)) from error
    if push.repository != repository:
        raise Refused(
            403, "the event is of another repository", "repository of the body differs from the URL's"
        )
    if push.project != known.project:
        raise Refused(403, "the event is of another project", "project of the body differs from the secret's")
    for ref, reason in push.ignored:
        log("INFO", "ignored", ref=ref, reason=reason, **about)
    lost = enqueue(push.messages)
    for message in push.messages:
        state = "not queued" if message in lost else "queued"
        log(
            "ERROR" if message in lost else "INFO",
            state,
            branch=message.branch,
            commit=message.commit,
            **about,
        )
    if lost:
        return answer(500, message=f"{len(lost)} of {len(push.messages)} not queued; send the event again")
    ignored = [{"ref": ref, "reason": reason} for ref, reason in push.ignored]
    return answer(200, queued=[message.branch for message in push.messages], ignored=ignored)


def read_body(event: Mapping[str, Any]) -> bytes:
    """Return the bytes that Bitbucket sent and signed.

    Raises:
        Refused: there are too many, or API Gateway's base64 is none.
    """
    text = event.get("body") or ""
    encoded = bool(event.get("isBase64Encoded"))
    # Before decoding: four characters of base64 are three bytes.
    if len(text) > (BODY_BYTES * 4 // 3 + 4 if encoded else BODY_BYTES):
        raise Refused(413, "the body is too large", "body too large")
    try:
        body = base64.b64decode(text, validate=True) if encoded else text.encode()
    except (binascii.Error, ValueError) as error:
        raise Refused(400, "the body cannot be decoded", "body is not base64") from error
    if len(body) > BODY_BYTES:
        raise Refused(413, "the body is too large", "body too large")
    return body


def verified(repository: str, body: bytes, header: str | None) -> WebhookSecret:
    """Return the secret of the URL's repository, if the signature is made with it.

    Raises:
        Refused: it is not, or there is no such repository; the two look alike.
    """
    secrets = service().secrets
    known = secrets.of(repository)
    if not is_signed(known.secret, body, header):
        # The secret may have been rotated since it was read.
        known = secrets.again(repository, known)
        if not is_signed(known.secret, body, header):
            raise Refused(401, "unauthorized", "no such repository, or the signature does not match")
    return known


def is_signed(secret: bytes, body: bytes, header: str | None) -> bool:
    """Tell whether the header signs the body, in a time that does not depend on where the two differ.

    Bitbucket writes `X-Hub-Signature: sha256=<hex>`, HMAC-SHA256 of the raw body. No header, another
    algorithm and another length are simply no match.
    """
    expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    # Bytes: compare_digest refuses text that is not ASCII, and the header is whatever somebody sent.
    return hmac.compare_digest(expected.encode(), (header or "").encode("utf-8", "replace"))


def enqueue(messages: Sequence[Message]) -> list[Message]:
    """Send the messages, and return those that the queue did not take."""
    lost: list[Message] = []
    for start in range(0, len(messages), BATCH):
        waiting = list(messages[start : start + BATCH])
        for _ in range(ATTEMPTS):
            waiting = send(waiting)
            if not waiting:
                break
        lost += waiting
    return lost


def send(batch: Sequence[Message]) -> list[Message]:
    """Send up to ten messages in one call, and return those that were refused."""
    entries = [{"Id": str(number), "MessageBody": message.to_json()} for number, message in enumerate(batch)]
    answered = service().queue.send_message_batch(QueueUrl=service().queue_url, Entries=entries)
    return [batch[int(failed["Id"])] for failed in answered.get("Failed", [])]


def answer(status: int, **body: object) -> dict[str, Any]:
    """Return an answer for API Gateway."""
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
