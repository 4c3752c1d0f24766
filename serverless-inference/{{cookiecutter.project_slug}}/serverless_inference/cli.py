"""The command line: `python -m serverless_inference COMMAND`, or `make COMMAND`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from configuration.errors import UserError
from release import question, registry
from release.asking import YES, agreed
from release.build import sign_in
from release.environments import ENVIRONMENTS, STAGING

from . import check, invoke, rollback, run, stages, status
from .config import Settings
from .load import SCHEMA_FILE, json_schema, load

EXAMPLES = f"""\
examples:
  python -m serverless_inference check                        is config/endpoint.yaml right?
  python -m serverless_inference status                       what is live, and what waits for an answer
  python -m serverless_inference invoke "Where is my order?"  ask the staging endpoint
  python -m serverless_inference promote                      let into production what staging has proven
  python -m serverless_inference rollback --to 3              go back to version 3

environment variables:
  AWS_PROFILE, AWS_ACCESS_KEY_ID, ...  credentials, as for every AWS tool
  {YES}=1                          do not ask before promote and rollback
"""

Command = Callable[[Settings, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0 only if it did what it was asked to."""
    options = parser().parse_args(arguments)
    try:
        command: Command = options.command
        return command(load(options.root.absolute()), options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except (ClientError, BotoCoreError) as error:  # what no command has words of its own for
        print(f"AWS: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `… | head`
        sys.stderr.close()
        return 0


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    root = argparse.ArgumentParser(
        prog="python -m serverless_inference",
        description="Serve the newest approved model from a serverless endpoint.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument(
        "--root", type=Path, default=Path(), help="the repository's top folder (default: this folder)"
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=command)
        return sub

    add("check", _check, "is the configuration right, and which version would be deployed?")
    add("schema", _schema, f"write {SCHEMA_FILE}, which editors use to check config/endpoint.yaml")
    add("status", _status, "what is live, what is approved, what waits for an answer")
    invoke.add_arguments(add("invoke", invoke.run, "ask an endpoint about texts"))
    asks = add(
        "promote", _promote, "answer the pipeline's question: what staging has proven goes to production"
    )
    asks.add_argument("--reject", metavar="REASON", help="answer no, and say why")
    back = add("rollback", _rollback, "go back to an older version: approves it, rejects the newer ones")
    back.add_argument("--to", type=int, required=True, metavar="N", help="the version that is to serve")
    back.add_argument("--reason", default="", help="is kept with the versions")
    for sub in (asks, back):
        sub.add_argument("--yes", action="store_true", help=f"do not ask (or {YES}=1)")
    deploys = add("deploy", _deploy, "what the pipeline's builds run; not for laptops")
    deploys.add_argument("environment", choices=ENVIRONMENTS)
    return root


def _check(settings: Settings, _: argparse.Namespace) -> int:
    findings = check.check(settings)
    for finding in findings:
        print(finding)
    return 1 if any(finding.good is False for finding in findings) else 0


def _schema(settings: Settings, _: argparse.Namespace) -> int:
    (settings.root / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8")
    print(f"wrote {SCHEMA_FILE}")
    return 0


def _status(settings: Settings, _: argparse.Namespace) -> int:
    print(status.in_words(settings, sign_in(settings.project)))
    return 0


def _promote(settings: Settings, options: argparse.Namespace) -> int:
    own = sign_in(settings.project)
    status = question.promote(own, settings.project.slug, reject=options.reject, yes=options.yes)
    if status == 0:
        print(
            "Approved. The pipeline deploys it to production now: make status"
            if options.reject is None
            else "Rejected. Production stays as it is. To take it out of staging, too: make rollback TO=…"
        )
    return status


def _rollback(settings: Settings, options: argparse.Namespace) -> int:
    own = sign_in(settings.project)
    sagemaker, codepipeline = own.client("sagemaker"), own.client("codepipeline")
    group, pipeline = settings.endpoint.model_package_group, settings.project.slug
    changes = rollback.plan(list(registry.versions(sagemaker, group)), group, options.to)
    if not changes:
        print(f"Version {options.to} is the newest approved one of {group} already: nothing to do.")
        return 0
    # A question about a newer version holds the pipeline up: what comes after waits until it is answered.
    asked = question.waiting(codepipeline, pipeline)
    words = [f"in {group}: {change.in_words()}" for change in changes]
    if asked is not None:
        words.append(f"answer no to the question that waits: {asked.summary}")
    print("\n".join(["This will be done:", *(f"  {number}. {word}" for number, word in enumerate(words, 1))]))
    print(f"The pipeline then deploys version {options.to} to staging, and asks about production.")
    if not agreed("Do it? [y/N] ", yes=options.yes):
        return 1
    reason = f"rolled back to version {options.to}" + (f": {options.reason}" if options.reason else "")
    rollback.carry_out(sagemaker, changes, reason)
    if asked is not None:
        question.answer(codepipeline, pipeline, asked, approve=False, comment=reason)
    print("Done. When staging has proven it: make promote")
    return 0


def _deploy(settings: Settings, options: argparse.Namespace) -> int:
    this = run.current(settings)
    if options.environment == STAGING:
        stages.staging(this, _say)
    else:
        stages.production(this, _say)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
