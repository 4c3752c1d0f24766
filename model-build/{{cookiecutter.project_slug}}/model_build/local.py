"""Runs the pipeline on this machine: the sandbox in the place of AWS, everything else as it is."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox import windows
from mlops_workbench.sandbox.services.codebuild import docker
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.images import ImagesError
from mlops_workbench.sandbox.server import Sandbox

from configuration.errors import UserError

from . import serving_image
from .config import Settings

FOLDER = ".sandbox"


@contextmanager
def sandbox(settings: Settings) -> Iterator[Sandbox]:
    """The two accounts on this machine, with what the delivery's Terraform makes in them: the bucket.

    Raises:
        UserError: the sandbox cannot be used, e.g. another process has it.
    """
    accounts = settings.project.accounts
    try:
        windows.refuse()
        images = Images.load(settings.root / "sandbox.toml")
        # one account may play both parts
        distinct = tuple(dict.fromkeys((accounts.shared_services, accounts.production)))
        with Sandbox(
            settings.root / FOLDER, images=images, accounts=distinct, region=settings.project.region
        ) as running:
            _ensure_bucket(running, settings.project.bucket, settings.project.region)
            yield running
    except (SandboxError, ImagesError) as error:
        raise UserError(str(error)) from error


def python_of(running: Sandbox, image: str) -> Path:
    """The interpreter that stands for an image here, by sandbox.toml.

    Raises:
        UserError: there is none.
    """
    try:
        return running.images.python_for(image)
    except JobFailed as error:
        raise UserError(str(error)) from error


def push_serving_image(running: Sandbox, settings: Settings, say: Callable[[str], None]) -> None:
    """Bring the lean image into the sandbox's registry, as a push's build does before it trains.

    Raises:
        UserError: serving_image/ cannot be made an image of.
    """
    ecr, name = running.client("ecr"), serving_image.repository(settings.project)
    there = [each["repositoryName"] for each in ecr.describe_repositories()["repositories"]]
    if name not in there:
        ecr.create_repository(repositoryName=name, imageTagMutability="IMMUTABLE")
    with tempfile.TemporaryDirectory() as home:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, **running.environment(), "HOME": home, "PATH": path}

        def run(command: list[str], **given: Any) -> Any:
            return subprocess.run([sys.executable, docker.__file__, *command[1:]], env=environment, **given)

        serving_image.publish(settings.project, settings.root, ecr, run, say)


def _ensure_bucket(running: Sandbox, bucket: str, region: str) -> None:
    s3 = running.client("s3")
    if bucket not in {found["Name"] for found in s3.list_buckets()["Buckets"]}:
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **where)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def report_folder(root: Path, execution_arn: str) -> Path:
    """Where the reports of an execution are put for people: reports/<execution id>/."""
    name = re.sub(r"[^\w-]", "-", execution_arn.rsplit("/", 1)[-1])
    return root / "reports" / name
