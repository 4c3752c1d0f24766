"""The command line: `python -m model_build COMMAND`, or `make COMMAND`."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ProfileNotFound

from configuration.command_line import show_what_can_be_shown
from configuration.errors import UserError

from . import check as checks
from .config import Settings
from .load import SCHEMA_FILE, json_schema, load
from .pins import FILE as PINS_FILE

Command = Callable[[Settings, argparse.Namespace], int]
Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 only if it did what it was asked to."""
    show_what_can_be_shown()
    options = _parser().parse_args(arguments)
    try:
        command: Command = options.command
        return command(load(options.root.absolute()), options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except ProfileNotFound as error:
        print(f"AWS settings: {error}: choose another with AWS_PROFILE, or unset it", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model_build",
        description="Train, evaluate and register a text classifier, on Amazon SageMaker or on this machine.",
    )
    parser.add_argument(
        "--root", type=Path, default=Path(), help="the repository's top folder (default: this folder)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        return sub

    add("check", _check, "is the configuration right, and is the data there?")
    add("describe", _describe, "what will run, on what")
    definition = add("definition", _definition, "print the SageMaker pipeline definition (JSON)")
    definition.add_argument("--output", type=Path, help="write it to this file")
    pin = add("pins", _pins, f"write the index's hashes into {PINS_FILE}, and serving_image's")
    pin.add_argument("--check", action="store_true", help="only say whether they are those in the file")
    add("schema", _schema, f"write {SCHEMA_FILE}, which editors use to check config/model.yaml")
    local = add("local", _local, "run the pipeline on this machine, in the sandbox")
    run = add("run", _run, "create or update the pipeline on SageMaker, start it and follow it")
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
    status = add("status", _status, "the latest runs and model versions")
    status.add_argument("--local", action="store_true", help="those of the sandbox instead of AWS")
    status.add_argument("--most", type=int, default=5, help="how many (default: 5)")
    compare = add("compare", _compare, "a version beside the live one: figures, classes, what is different")
    approve = add("approve", _approve, "approve a version, after a look at it beside the live one")
    reject = add("reject", _reject, "reject a version, the live one too: the one before it comes back")
    lineage = add("lineage", _lineage, "from an answer or a version back to commit, data and people")
    lineage.add_argument(
        "subject",
        nargs="?",
        help="a version's number, its ARN, or a file that carries one (default: the live version)",
    )
    lineage.add_argument("--json", action="store_true", help="for programs")
    for sub in (compare, approve, reject):
        sub.add_argument(
            "version", nargs="?", type=int, help="its number (default: the newest that waits for approval)"
        )
    for sub in (approve, reject):
        sub.add_argument("--yes", action="store_true", help="do not ask (or MLOPS_YES=1)")
    approve.add_argument("--comment", default="", help="why; kept with the decision")
    reject.add_argument("--reason", required=True, help="why; kept with the decision")
    for sub in (compare, approve, reject, lineage):
        sub.add_argument("--local", action="store_true", help="in the sandbox of `make local` instead of AWS")
    predict = add("predict", _predict, "ask the newest model of the sandbox about texts in a file")
    predict.add_argument("file", type=Path, help="JSON Lines: texts, or objects with the text columns")
    predict.add_argument("--model", metavar="VERSION", type=int, help="this version instead of the newest")
    return parser


def _check(settings: Settings, _: argparse.Namespace) -> int:
    findings = checks.check(settings, _s3_or_none(settings))
    marks = {True: "ok     ", False: "PROBLEM", None: "note   "}
    for finding in findings:
        print(f"{marks[finding.good]}  {finding.text}")
    return 1 if any(finding.good is False for finding in findings) else 0


def _describe(settings: Settings, _: argparse.Namespace) -> int:
    from .describe import describe

    print(describe(settings))
    return 0


def _definition(settings: Settings, options: argparse.Namespace) -> int:
    from .definition import build

    definition = build(settings).definition
    if options.output is None:
        print(definition, end="")
    else:
        options.output.write_text(definition, encoding="utf-8", newline="\n")
        print(f"wrote {options.output}")
    return 0


def _pins(settings: Settings, options: argparse.Namespace) -> int:
    from . import images, interpreters, pinning

    needed = interpreters.of_images(images.of(settings))
    return pinning.compare(settings.root, needed, check=options.check)


def _schema(settings: Settings, _: argparse.Namespace) -> int:
    (settings.root / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8", newline="\n")
    print(f"wrote {SCHEMA_FILE}")
    return 0


def _local(settings: Settings, options: argparse.Namespace) -> int:
    from .local import FOLDER, push_serving_image, python_of, sandbox

    _stop_on_problems(settings, None)
    with sandbox(settings) as running:
        for notice in running.notices:
            print(notice)
        if settings.model.serving.image == "lean":
            push_serving_image(running, settings, print)
        return _run_on(
            settings,
            options,
            running.client("s3"),
            running.client("sagemaker"),
            settings.root / FOLDER / "jobs",
            partial(python_of, running),
        )


def _run(settings: Settings, options: argparse.Namespace) -> int:
    _stop_on_problems(settings, _s3_or_none(settings))
    from . import pipeline

    session = _session(settings)
    settings = settings.with_key(pipeline.key_arn(settings.project, session.client("kms")))
    s3, sagemaker = session.client("s3"), session.client("sagemaker")
    if options.no_wait:
        print(_start(settings, options, s3, sagemaker, lambda text: print(text, file=sys.stderr)))
        return 0
    return _run_on(settings, options, s3, sagemaker, None)


def _run_on(
    settings: Settings,
    options: argparse.Namespace,
    s3: Any,
    sagemaker: Any,
    jobs: Path | None,
    python_of: Callable[[str], Path] | None = None,
) -> int:
    """Publish, start and follow the pipeline on whatever the two clients reach.

    Args:
        settings: of the repository.
        options: of the command.
        s3: a client.
        sagemaker: a client.
        jobs: where the jobs' logs are, if on this machine.
        python_of: finds the interpreter that stands for an image, where one does.
    """
    from mlops_workbench.sandbox.follow import follow

    from . import local, results

    execution = _start(settings, options, s3, sagemaker, print, python_of)
    print(f"started {execution}")
    outcome = follow(sagemaker, execution, jobs_folder=jobs)
    result = results.collect(outcome.steps, sagemaker, s3, local.report_folder(settings.root, execution))
    if result is not None:
        print()
        print(results.summary(result, settings.root))
    return 0 if outcome.status == "Succeeded" else 1


def _start(
    settings: Settings,
    options: argparse.Namespace,
    s3: Any,
    sagemaker: Any,
    say: Say,
    python_of: Callable[[str], Path] | None = None,
) -> str:
    """Publish and start the pipeline; returns the execution's ARN."""
    from . import live, pipeline
    from .definition import build

    built = build(settings, python_of=python_of, say=say)
    given = _parameters(options.parameter, built.parameters)
    pipeline.publish(built, settings.project, s3, sagemaker, say)
    champion = live.package(settings.project, sagemaker)
    say(
        "compares with the live model: none yet, no version is approved"
        if champion is None
        else f"compares with the live model: version {champion['ModelPackageVersion']}"
    )
    parameters = {**live.parameters(champion, s3), **given}
    return pipeline.start(settings.project, sagemaker, parameters)


def _status(settings: Settings, options: argparse.Namespace) -> int:
    from .local import sandbox

    if options.local:
        with sandbox(settings) as running:
            return _print_status(settings, running.client("sagemaker"), options.most)
    return _print_status(settings, _session(settings).client("sagemaker"), options.most)


def _print_status(settings: Settings, sagemaker: Any, most: int) -> int:
    from . import pipeline, versions

    runs = pipeline.executions(settings.project, sagemaker, most)
    print(f"pipeline {settings.project.pipeline_name}" + ("" if runs else ": no runs yet"))
    for run in runs:
        reason = (
            f"  {run['PipelineExecutionFailureReason']}" if run.get("PipelineExecutionFailureReason") else ""
        )
        name = run["PipelineExecutionArn"].rsplit("/", 1)[-1]
        print(f"  {run['StartTime']:%Y-%m-%d %H:%M}  {run['PipelineExecutionStatus']:<10}  {name}{reason}")
    packages = versions.model_packages(settings.project, sagemaker, most)
    newest = str(next(iter(versions.approved_numbers(settings.project, sagemaker)), ""))
    print(
        f"model package group {settings.project.model_package_group}"
        + ("" if packages else ": no versions yet")
    )
    for package in packages:
        version = package["ModelPackageArn"].rsplit("/", 1)[-1]
        created, approval = package["CreationTime"], package["ModelApprovalStatus"]
        # Who decided, and why, is in no list.
        said = versions.describe(sagemaker, package["ModelPackageArn"]).decision or approval
        mark = "  <- live" if version == newest else ""
        print(f"  {created:%Y-%m-%d %H:%M}  version {version:<4}  {said}{mark}")
    return 0


def _predict(settings: Settings, options: argparse.Namespace) -> int:
    from .predict import predict

    return predict(settings, options.file, options.model)


def _compare(settings: Settings, options: argparse.Namespace) -> int:
    from . import decide

    with _people(settings, options) as (clients, _):
        return decide.compare(settings, clients, options.version)


def _approve(settings: Settings, options: argparse.Namespace) -> int:
    from . import decide

    with _people(settings, options) as (clients, who):
        return decide.approve(
            settings, clients, options.version, who=who, comment=options.comment, yes=options.yes
        )


def _reject(settings: Settings, options: argparse.Namespace) -> int:
    from . import decide

    if not options.reason.strip():
        raise UserError('--reason: expected why, for example --reason "answers billing wrongly", got nothing')
    with _people(settings, options) as (clients, who):
        return decide.reject(
            settings, clients, options.version, who=who, reason=options.reason, yes=options.yes
        )


def _lineage(settings: Settings, options: argparse.Namespace) -> int:
    from . import lineage

    with _people(settings, options) as (clients, _):
        found = lineage.trace(settings, clients, options.subject)
    print(json.dumps(found, indent=2, ensure_ascii=False) if options.json else lineage.tree(found))
    return 0


@contextmanager
def _people(settings: Settings, options: argparse.Namespace) -> Iterator[tuple[Any, str]]:
    """Clients for AWS, or wherever AWS_ENDPOINT_URL leads, or this folder's sandbox; and who is asking."""
    from . import decide
    from .local import sandbox

    account = settings.project.accounts.shared_services
    if options.local:
        with sandbox(settings) as running:
            yield decide.Clients(running.client("sagemaker"), running.client("s3")), decide.this_user()
        return
    session = _session(settings)
    who = decide.caller(session, account)
    yield decide.Clients(session.client("sagemaker"), session.client("s3")), who


def _parameters(given: Sequence[str], known: dict[str, str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or name not in known:
            raise UserError(f"--parameter {item}: expected NAME=VALUE with NAME one of {', '.join(known)}")
        chosen[name] = value
    return chosen


def _stop_on_problems(settings: Settings, s3: Any | None) -> None:
    problems = [finding.text for finding in checks.check(settings, s3) if finding.good is False]
    if problems:
        raise UserError("\n".join(problems))


def _session(settings: Settings) -> Any:
    import boto3

    return boto3.Session(region_name=settings.project.region)


def _s3_or_none(settings: Settings) -> Any | None:
    """An S3 client if there is something on S3 to look at and there are credentials for it."""
    import botocore.exceptions

    locations = json.dumps(settings.model.model_dump(mode="json"))
    if "s3://" not in locations:
        return None
    session = _session(settings)
    try:
        return session.client("s3") if session.get_credentials() else None
    except botocore.exceptions.BotoCoreError as error:  # e.g. AWS_PROFILE names a profile that does not exist
        raise UserError(f"AWS credentials: {error}") from error
