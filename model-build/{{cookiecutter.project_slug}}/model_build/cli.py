"""The command line: `python -m model_build COMMAND`, or `make COMMAND`."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from configuration import UserError
from configuration.command_line import YES, CommandLine, shown

from . import aws, check, images, lineage, pipeline, versions, wheels
from .aws import Clients
from .config import Settings
from .definition import build
from .load import SCHEMA_FILE, json_schema, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0 only if it did what it was asked to."""
    return commands().run(arguments)


def commands() -> CommandLine[Settings]:
    """All commands."""
    about = "Train, evaluate and register a text classifier, on Amazon SageMaker or on this machine."
    line = CommandLine("model_build", about, load)
    line.add("check", _check, "is the configuration right, and is the data there?")
    line.add("describe", _describe, "what will run, on what")
    defines = line.add("definition", _definition, "print the SageMaker pipeline definition (JSON)")
    defines.add_argument("--output", type=Path, help="write it to this file")
    pins = line.add("pins", _pins, f"write the index's hashes into {wheels.FILE}, and serving_image's")
    pins.add_argument("--check", action="store_true", help="only say whether they are those in the file")
    line.add("schema", _schema, f"write {SCHEMA_FILE}, which editors use to check config/model.yaml")
    local = line.add("local", _local, "run the pipeline on this machine, in the sandbox")
    run = line.add("run", _run, "create or update the pipeline on SageMaker, start it and follow it")
    run.add_argument(
        "--no-wait",
        action="store_true",
        help="return as soon as it has started; print its ARN and nothing else on standard output",
    )
    for sub in (local, run):
        sub.add_argument(
            "--parameter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a pipeline parameter for this run",
        )
    status = line.add("status", _status, "the latest runs and model versions")
    status.add_argument("--local", action="store_true", help="those of the sandbox instead of AWS")
    status.add_argument("--most", type=int, default=5, help="how many (default: 5)")
    compare = line.add(
        "compare", _compare, "a version beside the live one: figures, classes, what is different"
    )
    approve = line.add("approve", _approve, "approve a version, after a look at it beside the live one")
    reject = line.add("reject", _reject, "reject a version, the live one too: the one before it comes back")
    trace = line.add("lineage", _lineage, "from an answer or a version back to commit, data and people")
    trace.add_argument(
        "subject",
        nargs="?",
        help="a version's number, its ARN, or a file that carries one (default: the live version)",
    )
    trace.add_argument("--json", action="store_true", help="for programs")
    for sub in (compare, approve, reject):
        sub.add_argument(
            "version", nargs="?", type=int, help="its number (default: the newest that waits for approval)"
        )
    for sub in (approve, reject):
        sub.add_argument("--yes", action="store_true", help=f"do not ask (or {YES}=1)")
    approve.add_argument("--comment", default="", help="why; kept with the decision")
    reject.add_argument("--reason", required=True, help="why; kept with the decision")
    for sub in (compare, approve, reject, trace):
        sub.add_argument("--local", action="store_true", help="in the sandbox of `make local` instead of AWS")
    predict = line.add("predict", _predict, "ask the newest model of the sandbox about texts in a file")
    predict.add_argument("file", type=Path, help="JSON Lines: texts, or objects with the text columns")
    predict.add_argument("--model", metavar="VERSION", type=int, help="this version instead of the newest")
    return line


def _check(settings: Settings, _: argparse.Namespace) -> int:
    return shown(check.check(settings, _s3_or_none(settings)))


def _describe(settings: Settings, _: argparse.Namespace) -> int:
    print(pipeline.describe(settings))
    return 0


def _definition(settings: Settings, options: argparse.Namespace) -> int:
    definition = build(settings).definition
    if options.output is None:
        print(definition, end="")
    else:
        options.output.write_text(definition, encoding="utf-8", newline="\n")
        print(f"wrote {options.output}")
    return 0


def _pins(settings: Settings, options: argparse.Namespace) -> int:
    return wheels.compare(settings.root, images.interpreter(images.of(settings)), check=options.check)


def _schema(settings: Settings, _: argparse.Namespace) -> int:
    (settings.root / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8", newline="\n")
    print(f"wrote {SCHEMA_FILE}")
    return 0


def _local(settings: Settings, options: argparse.Namespace) -> int:
    with _workbench():
        from . import local
    _stop_on_problems(settings, None)
    with local.sandbox(settings) as running:
        for notice in running.notices:
            print(notice)
        if settings.model.serving.image == "lean":
            local.push_serving_image(running, settings, print)
        clients = Clients(running.client("sagemaker"), running.client("s3"))
        python_of = partial(local.python_of, running)
        execution = pipeline.start(settings, options.parameter, clients, print, python_of)
        print(f"started {execution}")
        return local.follow(settings, execution, clients, running.folder / "jobs")


def _run(settings: Settings, options: argparse.Namespace) -> int:
    if not options.no_wait:  # before anything is started: without it nothing could follow
        with _workbench():
            from . import local
    _stop_on_problems(settings, _s3_or_none(settings))
    session = aws.session(settings.project.region)
    settings = settings.with_key(pipeline.key_arn(settings.project, session.client("kms")))
    clients = Clients(session.client("sagemaker"), session.client("s3"))
    say = partial(print, file=sys.stderr) if options.no_wait else print
    execution = pipeline.start(settings, options.parameter, clients, say)
    if options.no_wait:
        print(execution)
        return 0
    print(f"started {execution}")
    return local.follow(settings, execution, clients)


def _status(settings: Settings, options: argparse.Namespace) -> int:
    project = settings.project
    if options.local:
        with _workbench():
            from .local import sandbox
        with sandbox(settings) as running:
            lines = pipeline.status(project, running.client("sagemaker"), options.most)
    else:
        lines = pipeline.status(project, aws.session(project.region).client("sagemaker"), options.most)
    print("\n".join(lines))
    return 0


def _compare(settings: Settings, options: argparse.Namespace) -> int:
    with _people(settings, options) as (clients, _):
        return versions.compare(settings, clients, options.version)


def _approve(settings: Settings, options: argparse.Namespace) -> int:
    with _people(settings, options) as (clients, who):
        return versions.approve(
            settings, clients, options.version, who=who, comment=options.comment, yes=options.yes
        )


def _reject(settings: Settings, options: argparse.Namespace) -> int:
    if not options.reason.strip():
        raise UserError('--reason: expected why, for example --reason "answers billing wrongly", got nothing')
    with _people(settings, options) as (clients, who):
        return versions.reject(
            settings, clients, options.version, who=who, reason=options.reason, yes=options.yes
        )


def _lineage(settings: Settings, options: argparse.Namespace) -> int:
    with _people(settings, options) as (clients, _):
        found = lineage.trace(settings, clients, options.subject)
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else lineage.tree(found))
    return 0


def _predict(settings: Settings, options: argparse.Namespace) -> int:
    with _workbench():
        from .local import predict
    return predict(settings, options.file, options.model)


@contextmanager
def _people(settings: Settings, options: argparse.Namespace) -> Iterator[tuple[Clients, str]]:
    """Clients for AWS, or wherever AWS_ENDPOINT_URL leads, or this folder's sandbox; and who is asking."""
    if options.local:
        with _workbench():
            from .local import sandbox
        with sandbox(settings) as running:
            yield Clients(running.client("sagemaker"), running.client("s3")), versions.this_user()
        return
    project = settings.project
    session = aws.session(project.region)
    who = aws.caller(session, project.accounts.shared_services)
    yield Clients(session.client("sagemaker"), session.client("s3")), who


@contextmanager
def _workbench() -> Iterator[None]:
    """Around the import of what only laptops have.

    Raises:
        UserError: it is not installed here, as in CodeBuild.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"the Python package {error.name} is not installed, which the sandbox and following a run need: "
            "run `make setup`; `run --no-wait` starts a run without it"
        ) from error


def _stop_on_problems(settings: Settings, s3: Any | None) -> None:
    problems = [finding.text for finding in check.check(settings, s3) if finding.good is False]
    if problems:
        raise UserError("\n".join(problems))


def _s3_or_none(settings: Settings) -> Any | None:
    """An S3 client if there is something on S3 to look at and there are credentials for it."""
    if "s3://" not in json.dumps(settings.model.model_dump(mode="json")):
        return None
    session = aws.session(settings.project.region)
    try:
        return session.client("s3") if session.get_credentials() else None
    except BotoCoreError as error:  # e.g. an SSO session that has ended
        raise UserError(f"AWS credentials: {error}") from error
