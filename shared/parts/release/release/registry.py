"""The model registry: which version is deployed is decided here, and nowhere else."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from configuration import UserError
from configuration.command_line import Finding
from configuration.project import ProjectConfig

from .aws import Session, caller, code, plain_errors, session

APPROVED = "Approved"


class Version(NamedTuple):
    """A version of a model package group, as lists show it."""

    arn: str
    number: int
    approval: str
    created: datetime
    usable: bool  # SageMaker has made it completely


class Package(NamedTuple):
    """What a version is made of."""

    arn: str
    group: str
    number: int
    approval: str
    data_url: str
    image: str
    variables: Mapping[str, str] = MappingProxyType({})  # of the container


def versions(sagemaker: Any, group: str, approval: str | None = None, *, file: str) -> Iterator[Version]:
    """The group's versions, the newest first, page by page; of one approval status if that is given.

    Args:
        sagemaker: the client.
        group: its name.
        approval: of the versions that are wanted.
        file: the configuration file that names the group, for the error when there is none.

    Raises:
        UserError: there is no such group, or AWS does not answer.
    """
    wanted = {"ModelApprovalStatus": approval} if approval else {}
    with plain_errors(f"model package group {group}"):
        try:
            sagemaker.describe_model_package_group(ModelPackageGroupName=group)
        except ClientError as error:
            if code(error) == "ValidationException":  # what SageMaker says of a group that is not there
                raise UserError(
                    f"{file}: model_package_group: expected a group of {_place(sagemaker)}, "
                    f"got {group!r}, which is not there; the model-build repository of that name makes it"
                ) from None
            raise
        # Ascending is the default, and pages may be empty: the paginator goes on until there is no token.
        pages = sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", **wanted
        )
        for page in pages:
            for found in page["ModelPackageSummaryList"]:
                yield Version(
                    found["ModelPackageArn"],
                    found["ModelPackageVersion"],
                    found["ModelApprovalStatus"],
                    found["CreationTime"],
                    found["ModelPackageStatus"] == "Completed",
                )


def newest_approved(sagemaker: Any, group: str, *, file: str) -> Package | None:
    """The version that is to serve; None while there is none.

    Raises:
        UserError: as `versions`, and as `describe`.
    """
    for version in versions(sagemaker, group, APPROVED, file=file):
        if version.usable:
            return describe(sagemaker, version.arn)
    return None


def describe(sagemaker: Any, arn: str) -> Package:
    """A version by its ARN.

    Raises:
        UserError: it is not there, may not be read, or is not one container with one archive.
    """
    with plain_errors(f"model package {arn}"):
        found = sagemaker.describe_model_package(ModelPackageName=arn)
    containers = found.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1 or not containers[0].get("ModelDataUrl"):
        raise UserError(
            f"{arn}: expected one container with a ModelDataUrl (a model.tar.gz), got {len(containers)} "
            "container(s); serverless endpoints and batch transform take no other models"
        )
    return Package(
        arn,
        found["ModelPackageGroupName"],
        found["ModelPackageVersion"],
        found["ModelApprovalStatus"],
        containers[0]["ModelDataUrl"],
        containers[0]["Image"],
        containers[0].get("Environment") or {},
    )


def archive_problem(s3: Any, package: Package) -> str | None:
    """What is wrong with the model's archive, as far as these credentials can see; None when it is there."""
    bucket, _, key = package.data_url.removeprefix("s3://").partition("/")
    try:
        # not HeadObject: it needs the key as well, and answers "Forbidden" for what is missing
        page = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except ClientError as error:
        if code(error) == "NoSuchBucket":
            return f"{package.arn}: its archive is in s3://{bucket}, which is not there"
        return None  # SageMaker's own role reads it, and says so if it may not
    if [found["Key"] for found in page.get("Contents", [])] == [key]:
        return None
    return (
        f"{package.arn}: expected its archive at {package.data_url}, found nothing there. "
        f"Reject version {package.number}, or bring the object back (old versions are kept for 90 days)"
    )


def newest_model(project: ProjectConfig, group: str, *, file: str) -> Finding:
    """Whether a version of the group that `file` names is approved and complete, as far as one may look."""
    what = f"model package group {group}"
    try:
        own = _session_or_none(project)
        if own is None:
            return Finding(None, f"{what}: not looked at, as there are no AWS credentials")
        found = caller(own)
        wanted = project.accounts.shared_services
        if found.account != wanted:
            text = f"not looked at, as the AWS credentials are account {found.account}'s and not {wanted}'s"
            return Finding(None, f"{what}: {text}")
        package = newest_approved(own.client("sagemaker"), group, file=file)
        if package is None:
            return Finding(None, f"{what}: no version is approved yet: nothing to deploy")
        if problem := archive_problem(own.client("s3"), package):
            return Finding(False, problem)
    except UserError as error:
        return Finding(False, str(error))
    return Finding(True, f"{what}: version {package.number} is the newest approved one")


def _session_or_none(project: ProjectConfig) -> Session | None:
    try:
        found = session(project.region)
        return found if found.get_credentials() else None
    except BotoCoreError as error:  # e.g. AWS_PROFILE names a profile that does not exist
        raise UserError(f"AWS credentials: {error}") from error


def _place(sagemaker: Any) -> str:
    return f"this account in {sagemaker.meta.region_name}"
