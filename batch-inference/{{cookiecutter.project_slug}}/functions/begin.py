"""The pipeline's first step: which version of the file, which model and which code an execution works with.

Decided once, in work/<execution>/request/request.json: a second call for the same execution (Lambda may call
twice) finds the decision of the first. Later steps read only what lies in the execution's folder.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import boto3
from botocore.config import Config

import places
import stored
from stored import Refused, explained, log

LATEST = "latest"  # the pipeline's default for Version
VERSION = 1  # of request.json
STEPS = Path(__file__).with_name("steps")

CLIENT = Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=300)


class Settings(NamedTuple):
    """What Terraform tells this function; see terraform/batch."""

    bucket: str
    environment: str
    input_prefix: str
    output_prefix: str
    formats: list[str]
    answer: places.Kind
    group_arn: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self:
        """Reads the environment variables."""
        return cls(
            variables["BUCKET"],
            variables["ENVIRONMENT"],
            variables["INPUT_PREFIX"],
            variables["OUTPUT_PREFIX"],
            variables["FORMATS"].split(","),
            places.Kind(variables["OUTPUT_FORMAT"], variables["OUTPUT_COMPRESSION"] == "gzip"),
            variables["MODEL_PACKAGE_GROUP_ARN"],
        )


class Package(NamedTuple):
    """A version of the model package group."""

    arn: str
    number: int


def handler(event: dict[str, str], _context: object) -> dict[str, str]:
    """Begins an execution.

    Args:
        event: `bucket`, `key`, `version_id` and `execution_id`.

    Returns:
        `ModelPackageArn`: what CreateModel makes the model of.

    Raises:
        Refused: the file is not to be answered; becomes the step's FailureReason.
    """
    settings = Settings.of(os.environ)
    request = begin(
        settings,
        boto3.client("s3", config=CLIENT),
        boto3.client("sagemaker", config=CLIENT),
        event,
    )
    log(
        "INFO",
        "begun",
        execution_id=request["execution_id"],
        key=request["key"],
        version_id=request["version_id"],
        size=request["size"],
        model_package_arn=request["model_package_arn"],
    )
    return {"ModelPackageArn": request["model_package_arn"]}


def begin(settings: Settings, s3: Any, sagemaker: Any, event: Mapping[str, str]) -> dict[str, Any]:
    """Fills the execution's folder; returns its request.json."""
    bucket, execution_id = settings.bucket, event["execution_id"]
    folder, request_key = places.work(execution_id), places.request_key(execution_id)
    if stored.look(s3, bucket, request_key):
        request = stored.read_json(s3, bucket, request_key)
    else:
        request = stored.write_once(s3, bucket, request_key, decide(settings, s3, sagemaker, event))
    _copy_source(s3, request, f"{folder}/source/{request['source']}")
    _write_code(s3, bucket, f"{folder}/code")
    return request


def decide(settings: Settings, s3: Any, sagemaker: Any, event: Mapping[str, str]) -> dict[str, Any]:
    """What this execution does, as request.json.

    Raises:
        Refused: no execution should work on this.
    """
    key = event["key"]
    kind = _kind(settings, event["bucket"], key)
    found = _source(settings, s3, key, event["version_id"])
    package = newest_approved(sagemaker, settings.group_arn)
    result_key = places.result_key(key, settings.input_prefix, settings.output_prefix, settings.answer)
    summary_key = result_key + places.SUMMARY
    if len(summary_key.encode()) > places.LONGEST_KEY:
        raise Refused(
            f"s3://{settings.bucket}/{key}: its name is too long for {places.SUMMARY} to be added "
            f"(at most {places.LONGEST_KEY} bytes); upload it under a shorter one"
        )
    return {
        "version": VERSION,
        "environment": settings.environment,
        "bucket": settings.bucket,
        "key": key,
        "version_id": found.version_id,
        "etag": found.etag.strip('"'),
        "size": found.size,
        "last_modified": found.last_modified.isoformat(),
        "execution_id": event["execution_id"],
        "model_package_arn": package.arn,
        "model_package_group": _group_name(settings.group_arn),
        "model_package_version": package.number,
        "format": kind.format,
        "gzip": kind.gzip,
        "source": f"data{kind.suffix}",
        "result": f"answers{settings.answer.suffix}",
        "result_key": result_key,
        "summary_key": summary_key,
    }


def newest_approved(sagemaker: Any, group_arn: str) -> Package:
    """The newest version that a person has approved and SageMaker has completed.

    Raises:
        Refused: there is none, or the group cannot be read.
    """
    # Ascending is the default, and pages may be empty: the paginator goes on until there is no token.
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group_arn,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    with explained(f"model package group {group_arn}"):
        for page in pages:
            for found in page["ModelPackageSummaryList"]:
                if found["ModelPackageStatus"] == "Completed":
                    return Package(found["ModelPackageArn"], found["ModelPackageVersion"])
    raise Refused(
        f"model package group {_group_name(group_arn)}: no version is approved; approve one, then upload the "
        "file again"
    )


def _kind(settings: Settings, bucket: str, key: str) -> places.Kind:
    where = f"s3://{bucket}/{key}"
    if bucket != settings.bucket:
        raise Refused(f"{where}: expected a file of s3://{settings.bucket}, got one of another bucket")
    if not key.startswith(settings.input_prefix) or key.startswith((settings.output_prefix, "work/")):
        raise Refused(f"{where}: expected a file below {settings.input_prefix}; upload it there")
    kind = places.kind(key, settings.formats)
    if kind is None:
        wanted = places.ends(settings.formats)
        raise Refused(f"{where}: expected a name that ends in one of {wanted}; upload it under such a name")
    return kind


def _source(settings: Settings, s3: Any, key: str, version_id: str) -> stored.Found:
    wanted = None if version_id in ("", LATEST) else version_id
    found = stored.look(s3, settings.bucket, key, wanted)
    where = f"s3://{settings.bucket}/{key}"
    if found is None:
        which = f"version {wanted} of it" if wanted else "it"
        raise Refused(f"{where}: {which} is not there, or was deleted meanwhile; upload the file again")
    if found.size == 0:
        raise Refused(f"{where}: expected a file with rows, got one of 0 bytes; upload it again")
    return found


def _copy_source(s3: Any, request: Mapping[str, Any], target: str) -> None:
    bucket = request["bucket"]
    if stored.look(s3, bucket, target):  # a copy is there whole, or not at all
        return
    found = stored.look(s3, bucket, request["key"], request["version_id"])
    if found is None:
        raise Refused(f"s3://{bucket}/{request['key']}: it was deleted meanwhile; upload it again")
    try:
        stored.copy(s3, (bucket, request["key"], found), target, instead_of=None)
    except stored.Overtaken:
        return  # another call of this execution has copied the same version


def _write_code(s3: Any, bucket: str, folder: str) -> None:
    steps = sorted(STEPS.glob("*.py"))
    if not steps:
        raise Refused("functions.zip: expected the steps' code in steps/, found none; deploy again")
    for path in steps:
        key = f"{folder}/{path.name}"
        with explained(f"s3://{bucket}/{key}"):
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType="text/x-python")


def _group_name(group_arn: str) -> str:
    return group_arn.rsplit("/", 1)[-1]
