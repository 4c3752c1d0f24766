"""Versions in the model package group, as people who decide about them need them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import botocore.exceptions

from configuration.errors import UserError

from .assets import split_uri
from .aws_errors import explained
from .config import ProjectConfig

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
WORDS = {PENDING: "waits for approval", APPROVED: "approved", REJECTED: "rejected"}
_MOST = 1000


@dataclass(frozen=True)
class Version:
    """A version, from DescribeModelPackage.

    Attributes:
        described: the whole answer.
    """

    described: dict[str, Any]

    @property
    def arn(self) -> str:
        """Of the model package."""
        return str(self.described["ModelPackageArn"])

    @property
    def number(self) -> int:
        """Its number in the group."""
        return int(self.described["ModelPackageVersion"])

    @property
    def status(self) -> str:
        """A key of `WORDS`."""
        return str(self.described["ModelApprovalStatus"])

    @property
    def created(self) -> datetime:
        """When it was registered."""
        found: datetime = self.described["CreationTime"]
        return found

    @property
    def metadata(self) -> dict[str, str]:
        """What the pipeline wrote down about it."""
        return dict(self.described.get("CustomerMetadataProperties", {}))

    @property
    def evaluation_uri(self) -> str:
        """Where its evaluation.json is; "" if it has none."""
        metrics = self.described.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
        return str(metrics.get("S3Uri", ""))

    @property
    def execution_arn(self) -> str:
        """Of the pipeline that made it; "" if it does not say."""
        return str(self.described.get("MetadataProperties", {}).get("GeneratedBy", ""))

    @property
    def decision(self) -> str:
        """Who approved or rejected it, when and why; "" if nobody said."""
        return str(self.described.get("ApprovalDescription", ""))


def model_packages(
    project: ProjectConfig, sagemaker: Any, most: int, status: str | None = None
) -> list[dict[str, Any]]:
    """Summaries of the newest versions in the group, newest first.

    Args:
        project: says which group.
        sagemaker: a client.
        most: how many at most.
        status: only those about which this was decided, a key of `WORDS`; None: all.

    Raises:
        UserError: the registry cannot be read.
    """
    found: list[dict[str, Any]] = []
    request: dict[str, Any] = {
        "ModelPackageGroupName": project.model_package_group,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",  # the service's default is oldest first
        "PaginationConfig": {"PageSize": 100},  # its default is 10
        **({"ModelApprovalStatus": status} if status else {}),
    }
    with explained(f"model package group {project.model_package_group}"):
        try:
            for page in sagemaker.get_paginator("list_model_packages").paginate(**request):
                found += page["ModelPackageSummaryList"]  # a page may be empty and not the last
                if len(found) >= most:
                    break
        except botocore.exceptions.ClientError as error:
            if "does not exist" not in str(error):
                raise
    return found[:most]


def describe(sagemaker: Any, arn: str) -> Version:
    """A version by its ARN.

    Raises:
        UserError: it is not there, or may not be read.
    """
    with explained(f"model package {arn}"):
        return Version(sagemaker.describe_model_package(ModelPackageName=arn))


def find(project: ProjectConfig, sagemaker: Any, number: int | None) -> Version:
    """The version with this number; without one the newest that waits for approval.

    Raises:
        UserError: there is none; the message lists those that there are.
    """
    group, known = project.model_package_group, model_packages(project, sagemaker, _MOST)
    if not known:
        raise UserError(f"model package group {group}: no version yet; train one first: `make run`")
    if number is not None:
        for each in known:
            if each["ModelPackageVersion"] == number:
                return describe(sagemaker, each["ModelPackageArn"])
        raise UserError(f"version {number}: expected one of {listed(known)} in group {group}")
    for each in known:
        if each["ModelApprovalStatus"] == PENDING:
            return describe(sagemaker, each["ModelPackageArn"])
    raise UserError(
        f"model package group {group}: no version waits for approval; say which is meant, of {listed(known)}"
    )


def listed(known: Sequence[dict[str, Any]], most: int = 10) -> str:
    """Versions and what was decided about them, the newest first."""
    shown = [f"{each['ModelPackageVersion']} ({WORDS[each['ModelApprovalStatus']]})" for each in known[:most]]
    more = f", and {len(known) - most} older" if len(known) > most else ""
    return ", ".join(shown) + more


def approved(project: ProjectConfig, sagemaker: Any) -> list[dict[str, Any]]:
    """Summaries of the approved versions, the newest first: the first of them is live."""
    found = model_packages(project, sagemaker, _MOST, APPROVED)
    return [each for each in found if each["ModelPackageStatus"] == "Completed"]


def approved_numbers(project: ProjectConfig, sagemaker: Any) -> list[int]:
    """The numbers of the approved versions, the newest first."""
    return [int(each["ModelPackageVersion"]) for each in approved(project, sagemaker)]


def read_json(s3: Any, uri: str) -> dict[str, Any] | None:
    """A JSON document in S3; None if it is not there (any more).

    Raises:
        UserError: it may not be read.
    """
    bucket, key = split_uri(uri)
    with explained(uri):
        try:
            content: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        except botocore.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "NoSuchBucket"):
                return None
            raise
    return content
