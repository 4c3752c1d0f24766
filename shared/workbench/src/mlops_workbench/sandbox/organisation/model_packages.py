"""Model packages: approval, and the metrics that were registered with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.organisation.times import iso
from mlops_workbench.sandbox.pipelines.s3 import split_uri

#: How many metrics of a model package are shown, and how large their file may be, in bytes.
METRICS, METRICS_BYTES = 8, 1_000_000
#: Metrics by the address and ETag of their file.
_read: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}


@dataclass
class Package:
    """A version of a model package group; metrics are (name, value) as text."""

    account: str
    group: str
    version: int
    arn: str
    approval: str
    created: str
    description: str = ""
    metrics: list[tuple[str, str]] = field(default_factory=list)


def collect(client: Any, s3: Any, account: str, limit: int) -> Iterator[Package]:
    """Return the newest versions of every group of an account, the newest first."""
    for page in client.get_paginator("list_model_package_groups").paginate():
        for group in page["ModelPackageGroupSummaryList"]:
            listed = client.list_model_packages(
                ModelPackageGroupName=group["ModelPackageGroupName"],
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=limit,
            )
            for summary in listed["ModelPackageSummaryList"]:
                yield describe(client, s3, account, summary["ModelPackageArn"])


def describe(client: Any, s3: Any, account: str, arn: str) -> Package:
    """Return one model package."""
    package = client.describe_model_package(ModelPackageName=arn)
    quality = (package.get("ModelMetrics") or {}).get("ModelQuality") or {}
    uri = (quality.get("Statistics") or {}).get("S3Uri", "")
    properties = (package.get("CustomerMetadataProperties") or {}).items()
    metrics = _metrics(s3, uri) if uri else ()
    return Package(
        account,
        package.get("ModelPackageGroupName", ""),
        package.get("ModelPackageVersion", 0),
        arn,
        package.get("ModelApprovalStatus", ""),
        iso(package.get("CreationTime")),
        package.get("ModelPackageDescription", ""),
        list(metrics or properties)[:METRICS],
    )


def _metrics(s3: Any, uri: str) -> tuple[tuple[str, str], ...]:
    bucket, key = split_uri(uri)
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError):
        return ()
    if head["ContentLength"] > METRICS_BYTES:
        return ()
    known = (uri, head["ETag"])
    if known not in _read:
        # The page asks each second, and what has this ETag stays the same.
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            _read[known] = tuple(flatten(json.loads(body)))
        except ValueError:
            _read[known] = ()
    return _read[known]


def flatten(document: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Return the numbers of a model quality report: ``{"accuracy": {"value": 0.9}}`` is accuracy 0.9."""
    if isinstance(document, bool) or document is None:
        return
    if isinstance(document, (int, float)):
        yield name, f"{document:.4g}" if isinstance(document, float) else str(document)
    elif isinstance(document, dict):
        for key, value in document.items():
            if key != "standard_deviation":
                yield from flatten(value, name if key == "value" else str(key))
