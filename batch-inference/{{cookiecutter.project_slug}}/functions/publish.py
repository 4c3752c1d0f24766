"""The pipeline's last step: the answers go to output/, unless those of a newer upload of the file are there.

Uploads of one file are answered side by side and may finish in any order. So nothing is overwritten unseen:
each object is written in place of exactly what was looked at, and looked at again when that has changed.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import places
import stored
from stored import Refused, code, explained, log
from watching import count

ATTEMPTS = 10  # at one object, while others write to it too
LONGEST_KEY = 1000  # [read] Amazon S3: all metadata of an object are at most 2 KB

CLIENT = Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=300)

_CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonlines; charset=utf-8"}


def handler(event: dict[str, str], _context: object) -> dict[str, str]:
    """Publishes an execution's answers, and deletes its model.

    Args:
        event: `execution_id`, and `model_name` ("" if none was made).

    Returns:
        `Published` ("yes" or "no"), `ResultUri` ("" if not published) and `Why` (not; "" if it was).

    Raises:
        Refused: something else is where the answers belong; becomes the step's FailureReason.
    """
    s3 = boto3.client("s3", config=CLIENT)
    name = os.environ.get("WATCHED_NAME", "")
    try:
        why, uri = publish(s3, os.environ["BUCKET"], event["execution_id"])
    finally:
        if event["model_name"]:
            delete_model(boto3.client("sagemaker", config=CLIENT), event["model_name"])
    if name and not why:
        watch(s3, os.environ["BUCKET"], event["execution_id"], name)
    log("INFO", "not published" if why else "published", **event, why=why, result_uri=uri)
    return {"Published": "no" if why else "yes", "ResultUri": uri, "Why": why}


def publish(s3: Any, bucket: str, execution_id: str) -> tuple[str, str]:
    """Copies summary and answers to their places.

    Returns:
        Why nothing was published, and "": or "", and the URI of the answers.
    """
    request = stored.read_json(s3, bucket, places.request_key(execution_id))
    folder = f"{places.work(execution_id)}/result"
    # The summary goes first, so that whoever sees the answers finds theirs.
    objects = [
        (f"{folder}/summary.json", request["summary_key"], "application/json"),
        (f"{folder}/{request['result']}", request["result_key"], _content_type(request["result"])),
    ]
    for source, target, content_type in objects:
        if why := _place(s3, request, source, target, content_type):
            return why, ""
    return "", f"s3://{bucket}/{request['result_key']}"


def watch(s3: Any, bucket: str, execution_id: str, name: str) -> None:
    """Makes metrics of what was answered: counts, without any text."""
    key = f"{places.work(execution_id)}/result/watch.json"
    if stored.look(s3, bucket, key) is None:
        return  # answered by steps that were deployed before there was watching
    request = stored.read_json(s3, bucket, places.request_key(execution_id))
    content = stored.read_json(s3, bucket, key)
    version = str(request["model_package_version"])
    count.put(count.documents(count.Counts().add(content), name, version))


def delete_model(sagemaker: Any, name: str) -> None:
    """Deletes the model that the transform job used; it may be gone already."""
    with explained(f"model {name}"):
        try:
            sagemaker.delete_model(ModelName=name)
        except ClientError as error:
            # [read] DeleteModel names no error of its own for a model that is not there
            if code(error) not in ("ValidationException", "ResourceNotFound"):
                raise
            if "could not find" not in str(error).lower():
                raise


def metadata(request: Mapping[str, Any]) -> dict[str, str]:
    """What an answer's object says of where it comes from; percent-encoded, as S3 takes ASCII."""
    key = quote(request["key"])
    if len(key) > LONGEST_KEY:
        key = f"sha256:{hashlib.sha256(request['key'].encode()).hexdigest()}"
    return {
        "source-key": key,
        "source-version-id": quote(request["version_id"]),
        "execution-id": quote(request["execution_id"]),
        "model-package-arn": quote(request["model_package_arn"], safe="/:"),
    }


def _place(s3: Any, request: Mapping[str, Any], source: str, target: str, content_type: str) -> str:
    """Copies one object to output/; returns why not, or ""."""
    bucket, ours = request["bucket"], metadata(request)
    version = stored.look(s3, bucket, source)
    if version is None:
        raise Refused(f"s3://{bucket}/{source}: expected the answers of this execution, found nothing")
    for _attempt in range(ATTEMPTS):
        there = stored.look(s3, bucket, target)
        if there is not None:
            if there.metadata.get("execution-id") == ours["execution-id"]:
                return ""  # by an earlier call for the same execution
            _stop_on_other_source(bucket, target, there.metadata, ours)
            # after the look: an upload whose answers are there is in the list
            if _is_newer(s3, request, there.metadata["source-version-id"]):
                return f"a newer upload of {request['key']} was answered already"
        try:
            stored.copy(
                s3,
                (bucket, source, version),
                target,
                instead_of=there,
                Metadata=ours,
                ContentType=content_type,
            )
            return ""
        except stored.Overtaken:
            continue
    raise Refused(f"s3://{bucket}/{target}: others write to it all the time; upload the file again")


def _stop_on_other_source(
    bucket: str, target: str, theirs: Mapping[str, str], ours: Mapping[str, str]
) -> None:
    source = theirs.get("source-key")
    if source == ours["source-key"] and "source-version-id" in theirs:
        return
    what = f"the answers to {source}" if source else "a file that this pipeline did not write"
    raise Refused(
        f"s3://{bucket}/{target}: expected nothing, or answers to {ours['source-key']}, found {what}; "
        "move that away, or upload the file under another name"
    )


def _is_newer(s3: Any, request: Mapping[str, Any], quoted: str) -> bool:
    """Whether that version of the input came after ours; one that is gone for good counts as older."""
    for version_id in stored.versions(s3, request["bucket"], request["key"]):
        if version_id == request["version_id"]:
            return False
        if quote(version_id) == quoted:
            return True
    return False


def _content_type(result: str) -> str:
    kind = places.kind(result, list(_CONTENT_TYPES))
    return "application/gzip" if kind is None or kind.gzip else _CONTENT_TYPES[kind.format]
