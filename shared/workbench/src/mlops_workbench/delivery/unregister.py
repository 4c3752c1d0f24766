"""Takes down what register made, and nothing with a model or data in it unless told."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError

from . import terraform
from .aws import Foundation, Session, client, code, plain_errors, remove_secret, secret_name
from .bitbucket import DataCenter
from .facts import webhook_url
from .project import Project
from .register import Say, StepFailed, open_bitbucket

BATCH = 1000  # S3's limit for DeleteObjects
LIVE = re.compile(r"deployments/([^/]+)/live\.json")  # what the builds keep of what they have deployed


class Permission(NamedTuple):
    """What a person has said may go, beyond what can be made again."""

    models: bool = False
    data: bool = False
    bitbucket: bool = True
    deployed: bool = False  # stays, running, with no pipeline to change it


class Contents(NamedTuple):
    """What would be lost."""

    models: tuple[str, ...]  # ARNs of model packages
    objects: int  # in the repository's bucket, old versions not counted
    size: int  # their bytes
    deployed: tuple[str, ...] = ()  # environments in which something of this repository is live


class Task(NamedTuple):
    """One thing that goes, in words and as a call."""

    words: str
    do: Callable[[], object]


def look(project: Project, aws: Session) -> Contents:
    """Counts models and data; a group or bucket that is not there has none."""
    with plain_errors(f"model package group {project.slug}"):
        models = tuple(_model_packages(client(aws, "sagemaker"), project.slug))
    objects = size = 0
    deployed = []
    with plain_errors(f"s3://{project.bucket}"):
        try:
            for page in client(aws, "s3").get_paginator("list_objects_v2").paginate(Bucket=project.bucket):
                for found in page.get("Contents", []):
                    objects, size = objects + 1, size + found["Size"]
                    if live := LIVE.fullmatch(found["Key"]):
                        deployed.append(live[1])
        except ClientError as error:
            if code(error) != "NoSuchBucket":
                raise
    return Contents(models, objects, size, tuple(deployed))


def refusals(project: Project, contents: Contents, allowed: Permission) -> list[str]:
    """Why it must not go on, with the option that says that it may."""
    found = []
    if contents.deployed and not allowed.deployed:
        found.append(
            f"its pipeline has deployed to {' and '.join(contents.deployed)}, and only it takes that down: "
            "set `enabled: false` there in config/, push, and wait for it; or, to leave it running: "
            "--leave-deployed"
        )
    if contents.models and not allowed.models:
        found.append(
            f"model package group {project.slug} holds {len(contents.models)} model package(s); "
            "to delete them for good: --delete-models"
        )
    if contents.objects and not allowed.data:
        found.append(
            f"bucket {project.bucket} holds {contents.objects} object(s), {contents.size / 1e6:.1f} MB of "
            "what the pipeline works with and keeps; to delete it for good, all versions: --delete-data"
        )
    return found


def tasks(
    project: Project, foundation: Foundation, contents: Contents, allowed: Permission, aws: Session
) -> list[Task]:
    """What goes, in order: first what could start something, last what the rest may need."""
    planned = []
    webhook = project.hosting == "data-center" and foundation.webhook_url is not None
    if webhook and allowed.bitbucket:
        planned.append(
            Task(
                f"the webhook to {webhook_url(foundation, project)} (the Bitbucket repository stays)",
                lambda: _remove_webhook(project, foundation),
            )
        )
    if contents.models:
        planned.append(
            Task(f"{len(contents.models)} model package(s)", lambda: _delete_models(aws, contents.models))
        )
    if allowed.data:
        words = f"everything in s3://{project.bucket}, {contents.objects} object(s) and their old versions"
        planned.append(Task(words, lambda: _empty(client(aws, "s3"), project.bucket)))
    planned.append(
        Task(
            f"everything that terraform/delivery made: CodePipeline {project.slug} and all that belongs to "
            "it, its key too: what that encrypted cannot be read again",
            lambda: _destroy(project, foundation),
        )
    )
    if webhook and allowed.bitbucket:
        planned.append(
            Task(
                f"the webhook's secret {secret_name(foundation, project)}",
                lambda: remove_secret(client(aws, "secretsmanager"), foundation, project),
            )
        )
    return planned


def act(planned: list[Task], retry: str, say: Say) -> None:
    """Removes one thing after the other.

    Raises:
        StepFailed: the first that cannot be removed ends it.
    """
    for number, task in enumerate(planned, start=1):
        say(f"{number}/{len(planned)}  removing {task.words}")
        try:
            with plain_errors("AWS"):
                task.do()
        except UserError as error:
            raise StepFailed(number, f"removing {task.words}", str(error), retry) from error


def _remove_webhook(project: Project, foundation: Foundation) -> None:
    place = open_bitbucket(project).place
    assert isinstance(place, DataCenter)  # only then is there such a task
    if place.exists():
        place.remove_webhook(webhook_url(foundation, project))


def _model_packages(sagemaker: Any, group: str) -> Iterator[str]:
    """The group's packages. Groups are listed first: a missing one has no error code of its own."""
    groups = sagemaker.get_paginator("list_model_package_groups").paginate(NameContains=group)
    names = (one["ModelPackageGroupName"] for page in groups for one in page["ModelPackageGroupSummaryList"])
    if group not in names:
        return
    for page in sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group):
        for package in page["ModelPackageSummaryList"]:
            yield package["ModelPackageArn"]


def _delete_models(aws: Session, models: tuple[str, ...]) -> None:
    sagemaker = client(aws, "sagemaker")
    for arn in models:
        sagemaker.delete_model_package(ModelPackageName=arn)


def _empty(s3: Any, bucket: str) -> None:
    """Deletes every version of every object: Terraform cannot remove a bucket that holds one."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": BATCH}
        ):
            versions = [
                {"Key": one["Key"], "VersionId": one["VersionId"]}
                for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            ]
            if versions:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})
                if answer.get("Errors"):
                    first = answer["Errors"][0]
                    raise UserError(f"s3://{bucket}/{first['Key']}: {first['Message']}")
    except ClientError as error:
        if code(error) != "NoSuchBucket":
            raise


def _destroy(project: Project, foundation: Foundation) -> None:
    terraform.initialise(project, foundation.state_bucket)
    terraform.change(project, destroy=True)
