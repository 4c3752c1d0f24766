"""What each command of ``mlops-sandbox`` does; ``cli`` reads the command line and shows errors."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.table import Table
from rich.text import Text

from mlops_workbench.sandbox.follow import follow
from mlops_workbench.sandbox.images import Images, ImagesError
from mlops_workbench.sandbox.lock import FolderLock
from mlops_workbench.sandbox.organisation import commands as organisation
from mlops_workbench.sandbox.organisation.record import default_folder
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import (
    ACTIVE,
    ExecutionRecord,
    Journal,
    mark_interrupted,
)
from mlops_workbench.sandbox.services.sagemaker.pipelines.prepare import prepare
from mlops_workbench.sandbox.services.sagemaker.pipelines.s3 import split_uri
from mlops_workbench.sandbox.table import make_console

if TYPE_CHECKING:
    from mlops_workbench.sandbox.server import Sandbox

#: What a sandbox keeps in its folder; nothing else there is ours to delete.
CONTENTS = ("state", "jobs", "executions")


class CommandError(Exception):
    """A command cannot do what it was asked; the message is one line."""


def run(options: argparse.Namespace) -> int:
    """Run a definition and follow it; 0 if it succeeded."""
    text = _definition(options.definition)
    prepare(text, options.param)  # before the folder is locked and anything is uploaded
    with open_sandbox(options) as sandbox:
        for local, uri in options.upload:
            count = upload(sandbox.client("s3"), local, uri, sandbox.region)
            print(f"uploaded {count} file{'s' if count != 1 else ''} from {local} to {uri}")
        client = sandbox.client("sagemaker")
        name = (
            options.name
            or re.sub(r"[^A-Za-z0-9]+", "-", options.definition.stem).strip("-")[:256]
            or "pipeline"
        )
        upsert(client, name, text, f"arn:aws:iam::{options.account}:role/mlops-sandbox")
        given = [{"Name": key, "Value": value} for key, value in options.param]
        arn = client.start_pipeline_execution(PipelineName=name, PipelineParameters=given)[
            "PipelineExecutionArn"
        ]
        print(f"pipeline {name}, execution {arn.rsplit('/', 1)[-1]}", flush=True)
        try:
            result = follow(client, arn, jobs_folder=sandbox.folder / "jobs")
        except KeyboardInterrupt:
            _abandon()
        for step in result.steps:
            package = (step.get("Metadata") or {}).get("RegisterModel", {}).get("Arn")
            if package:
                status = client.describe_model_package(ModelPackageName=package).get(
                    "ModelApprovalStatus", ""
                )
                print(f"model package {package} {status}")
        print(f"execution {result.status}; journal: {sandbox.folder / 'executions'}")
        return 0 if result.status == "Succeeded" else 1


def _abandon() -> NoReturn:
    """End this process at once, at the second Ctrl-C.

    Each job's supervisor ends the job when this process is gone. What the run has put into the sandbox's S3
    is not kept; the journal is, and the next sandbox on this folder notes the interruption in it.
    """
    print("ended at once; what this run had stored is not kept", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(130)


def validate(options: argparse.Namespace) -> int:
    """Check a definition; 0 if nothing is wrong with it."""
    definition, _ = prepare(_definition(options.definition), options.param, partial=True)
    print(
        f"{options.definition}: valid; {len(definition.steps)} steps, {len(definition.parameters)} parameters"
    )
    for parameter in definition.parameters.values():
        default = "no default" if parameter.default is None else f"default {parameter.default!r}"
        print(f"  parameter {parameter.name}: {parameter.type}, {default}")
    for step in definition.steps.values():
        where = "".join(f", in {branch} of {name}" for name, branch in step.inside)
        print(f"  step {step.name}: {step.type}{where}")
    return 0


def serve(options: argparse.Namespace) -> int:
    """Print the environment and keep the sandbox open until Ctrl-C."""
    with open_sandbox(options) as sandbox:
        for local, uri in options.upload:
            upload(sandbox.client("s3"), local, uri, sandbox.region)
        for key, value in sandbox.environment(options.account).items():
            print(f"export {key}={shlex.quote(value)}")
        sys.stdout.flush()
        print(f"{sandbox.folder}: serving on {sandbox.endpoint_url}; Ctrl-C to end", file=sys.stderr)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
    return 0


def executions(options: argparse.Namespace) -> int:
    """List executions from the journal; a sandbox may be open meanwhile."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Execution", "Pipeline", "Started", "Status", "Steps", ""):
        table.add_column(column, no_wrap=column != "")
    records = list(_records(options.folder).values())[::-1]
    for record in records[: options.limit]:
        done = sum(step.status == "Succeeded" for step in record.steps.values())
        table.add_row(
            record.id,
            record.pipeline_name,
            f"{datetime.fromtimestamp(record.created):%Y-%m-%d %H:%M:%S}",
            record.status,
            f"{done} of {len(record.steps)}",
            Text(record.failure_reason),
        )
    _show(table, empty=f"{options.folder}: no executions", any_rows=bool(records))
    return 0


def packages(options: argparse.Namespace) -> int:
    """List model packages, group by group."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Model package", "Approval", "Created"):
        table.add_column(column, no_wrap=True)
    if not (options.folder / "state").is_dir():
        raise CommandError(
            f"{options.folder}: not a sandbox's folder; run a pipeline first, or give --folder"
        )
    rows = 0
    with open_sandbox(options) as sandbox:
        client = sandbox.client("sagemaker")
        for group in _pages(client, "list_model_package_groups", "ModelPackageGroupSummaryList"):
            name = group["ModelPackageGroupName"]
            found = _pages(
                client, "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=name
            )
            for package in found:
                created = package["CreationTime"].astimezone()
                rows += 1
                table.add_row(
                    package["ModelPackageArn"],
                    package.get("ModelApprovalStatus", ""),
                    f"{created:%Y-%m-%d %H:%M:%S}",
                )
    _show(table, empty=f"{options.folder}: no model packages", any_rows=bool(rows))
    return 0


def logs(options: argparse.Namespace) -> int:
    """Print the log of a step's job; with one name that of a build, with none that of the organisation."""
    if options.step is None:
        return organisation.logs(options.folder or default_folder(), options.execution)
    options.folder = options.folder or Path(".sandbox")
    records = _records(options.folder)
    id_ = options.execution.rsplit("/", 1)[-1]
    record = next(reversed(records.values()), None) if id_ == "last" else records.get(id_)
    if record is None:
        raise CommandError(f"{options.folder}: no execution {id_!r}; see `mlops-sandbox executions`")
    step = record.steps.get(options.step)
    if step is None:
        raise CommandError(f"execution {record.id}: no step {options.step!r} has run; {_names(record)}")
    path = options.folder / "jobs" / step.job / "log.txt"
    if not step.job or not path.is_file():
        raise CommandError(f"execution {record.id}: step {step.name!r} is a {step.type} step: it has no log")
    with path.open(encoding="utf-8", errors="replace") as lines:
        shutil.copyfileobj(lines, sys.stdout)
    return 0


def reset(options: argparse.Namespace) -> int:
    """Delete what a sandbox keeps, after asking."""
    folder: Path = options.folder
    present = [folder / name for name in CONTENTS if (folder / name).is_dir()]
    if not present:
        print(f"{folder}: nothing to delete")
        return 0
    if not options.yes:
        if not sys.stdin.isatty():
            raise CommandError(f"{folder}: not deleted; add --yes where nobody can be asked")
        answer = input(f"delete {', '.join(map(str, present))}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing deleted")
            return 1
    lock = FolderLock(folder)
    lock.acquire()
    try:
        for path in present:
            shutil.rmtree(path)
    finally:
        lock.release()
    print(f"deleted {', '.join(map(str, present))}")
    return 0


@contextlib.contextmanager
def open_sandbox(options: argparse.Namespace) -> Iterator[Sandbox]:
    """Open the sandbox that the command line describes; says what was not restored."""
    # Imported here: moto takes a second to import, and most commands do without it.
    from mlops_workbench.sandbox.server import Sandbox

    images = options.images or (Path("sandbox.toml") if Path("sandbox.toml").is_file() else None)
    try:
        loaded = Images.load(images) if images else None
    except ImagesError as error:
        raise CommandError(str(error)) from None
    with Sandbox(
        options.folder, images=loaded, accounts=(options.account,), region=options.region
    ) as sandbox:
        for notice in sandbox.notices:
            print(f"notice: {notice}", file=sys.stderr)
        yield sandbox


def upsert(client: Any, name: str, definition: str, role: str) -> None:
    """Create a pipeline, or give it a new definition."""
    request = {"PipelineName": name, "PipelineDefinition": definition, "RoleArn": role}
    try:
        client.describe_pipeline(PipelineName=name)
    except client.exceptions.ResourceNotFound:
        client.create_pipeline(**request)
    else:
        client.update_pipeline(**request)


def upload(client: Any, local: Path, uri: str, region: str) -> int:
    """Copy a file or a folder to S3; the bucket is created if there is none.

    A folder's files go under the URI; a file goes to the URI itself, or under it if it ends with "/".

    Returns:
        How many files were copied.
    """
    bucket, key = split_uri(uri)
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError:
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        client.create_bucket(Bucket=bucket, **place)
    if local.is_file():
        client.upload_file(str(local), bucket, key + local.name if not key or key.endswith("/") else key)
        return 1
    files = sorted(path for path in local.rglob("*") if path.is_file())
    prefix = key.rstrip("/") + "/" if key else ""
    for path in files:
        client.upload_file(str(path), bucket, prefix + path.relative_to(local).as_posix())
    if not files:
        raise CommandError(f"{local}: an empty folder; there is nothing to upload")
    return len(files)


def _definition(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CommandError(f"{path}: cannot be read: {reason}") from None


def _records(folder: Path) -> dict[str, ExecutionRecord]:
    records = Journal(folder / "executions").load()
    for record in records.values():
        if record.status in ACTIVE:
            mark_interrupted(record)  # shown, not written: the next sandbox to open the folder writes it
    return records


def _pages(client: Any, call: str, key: str, **request: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(call).paginate(**request):
        yield from page[key]


def _names(record: ExecutionRecord) -> str:
    return "those that have: " + (", ".join(record.steps) or "none")


def _show(table: Table, *, empty: str, any_rows: bool) -> None:
    make_console().print(table if any_rows else empty)


__all__ = ["CommandError", "executions", "logs", "packages", "reset", "run", "serve", "validate"]
