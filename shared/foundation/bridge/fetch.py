"""Lambda behind the queue: put the archive of a commit where CodePipeline looks for a branch.

What may be written is decided by one rule: **a commit is fetched only while it is the newest one of its
branch.**

* The object is of that commit already: nothing is done, so a repeated message or a re-sent webhook changes
  nothing.
* The branch has moved on: nothing is done. A later event names the newer commit, and an old webhook that
  somebody sends again cannot put a branch back. A branch that is gone is left as it is.
* The branch moves while its archive is on the way: the write is conditional on the object that was there
  *before* Bitbucket was asked, so of two functions that overlap, the one with the older commit is refused and
  starts again.

A message that fails is reported alone, so that the others of its batch are done; the queue's redrive policy
moves it to the dead-letter queue when it has failed too often.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from bridge import log
from bridge.bitbucket import Bitbucket, BitbucketError
from bridge.event import MalformedEvent, Message, object_key
from bridge.secrets import SecretUnusable, read_token
from bridge.source import BadArchive, Overtaken, SourceBucket, check_archive, revision_summary

# Kept back from Lambda's own time-out: to write the object and to report the failure.
RESERVE_SECONDS = 10.0
KNOWN = (BitbucketError, BadArchive, MalformedEvent, Overtaken, SecretUnusable)


class Context(Protocol):
    """What this function reads of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""


@cache
def clients() -> tuple[Any, SourceBucket]:
    """Return Secrets Manager and the source bucket, made once from the environment."""
    config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4})
    bucket = SourceBucket(
        boto3.client("s3", config=config), os.environ["SOURCE_BUCKET"], os.environ["KMS_KEY_ARN"]
    )
    return boto3.client("secretsmanager", config=config), bucket


def handler(event: Mapping[str, Any], context: Context) -> dict[str, list[dict[str, str]]]:
    """Handle a batch of an SQS event source mapping that takes ReportBatchItemFailures."""
    failed: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
            handle(record["body"], time.monotonic() + seconds)
        except Exception as error:  # each message fails alone
            log("ERROR", "failed", message_id=record["messageId"], reason=reason_of(error))
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def handle(body: str, deadline: float) -> None:
    """Do what one message asks for, and log what came of it."""
    message = Message.from_json(body)
    about = {
        "repository": message.repository,
        "branch": message.branch,
        "commit": message.commit,
        "request_id": message.request_id,
    }
    log("INFO", "started", **about)
    log("INFO", fetch(message, deadline), **about)


def fetch(message: Message, deadline: float) -> str:
    """Write the archive of the message's commit if this module's rule allows; return what was done."""
    secrets, bucket = clients()
    key = object_key(message.repository, message.branch)
    # Before Bitbucket is asked: whoever writes later than this look has asked Bitbucket later, or is refused.
    before = bucket.look(key)
    if before and before.commit == message.commit:
        return "nothing to do: the object is of this commit"
    token = read_token(secrets, os.environ["TOKEN_SECRET_ID"])
    bitbucket = Bitbucket(os.environ["BITBUCKET_URL"], token, deadline)
    head = bitbucket.head(message.project, message.repository, message.branch)
    if head is None:
        return "nothing to do: the branch is gone"
    if head.commit != message.commit:
        return "nothing to do: the branch has moved on, and a later event brings its newest commit"
    limit = int(os.environ["MAX_ARCHIVE_BYTES"])
    with tempfile.TemporaryFile() as file:
        sha256 = bitbucket.download(message.project, message.repository, message.commit, file, limit)
        check_archive(file, message.commit)
        summary = revision_summary(message.commit, head.message)
        bucket.write(key, file, sha256, message.commit, summary, before)
    return "written"


def reason_of(error: Exception) -> str:
    """Return why a message failed, for the log: nothing of what a stranger or a library put into the text."""
    if isinstance(error, KNOWN):
        return str(error)
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {error.response['Error']['Code']}"
    return type(error).__name__
