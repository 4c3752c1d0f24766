"""The command line: `python -m serverless_inference COMMAND`, or `make COMMAND`."""

import argparse
from collections.abc import Sequence

from configuration.command_line import YES, CommandLine, agreed, say, shown
from release import question, registry, watched
from release.build import sign_in
from release.environments import ENVIRONMENTS, STAGING

from . import check, invoke, rollback, run, stages, status
from .config import Settings
from .load import ENDPOINT_FILE, SCHEMA_FILE, json_schema, load

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0 only if it did what it was asked to."""
    return commands().run(arguments)


def commands() -> CommandLine[Settings]:
    """All commands."""
    about = "Serve the newest approved model from a serverless endpoint."
    line = CommandLine("serverless_inference", about, load, EXAMPLES)
    line.add("check", _check, "is the configuration right, and which version would be deployed?")
    line.add("schema", _schema, f"write {SCHEMA_FILE}, which editors use to check config/endpoint.yaml")
    line.add("status", _status, "what is live, what is approved, what waits for an answer")
    invoke.add_arguments(line.add("invoke", invoke.run, "ask an endpoint about texts"))
    watched.add_arguments(
        line.add("watch", _watch, "what it answers lately, beside what the model was trained with")
    )
    asks = line.add(
        "promote", _promote, "answer the pipeline's question: what staging has proven goes to production"
    )
    asks.add_argument("--reject", metavar="REASON", help="answer no, and say why")
    back = line.add("rollback", _rollback, "go back to an older version: approves it, rejects the newer ones")
    back.add_argument("--to", type=int, required=True, metavar="N", help="the version that is to serve")
    back.add_argument("--reason", default="", help="is kept with the versions")
    for sub in (asks, back):
        sub.add_argument("--yes", action="store_true", help=f"do not ask (or {YES}=1)")
    deploys = line.add("deploy", _deploy, "what the pipeline's builds run; not for laptops")
    deploys.add_argument("environment", choices=ENVIRONMENTS)
    return line


def _check(settings: Settings, _: argparse.Namespace) -> int:
    return shown(check.check(settings))


def _schema(settings: Settings, _: argparse.Namespace) -> int:
    (settings.root / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8", newline="\n")
    print(f"wrote {SCHEMA_FILE}")
    return 0


def _status(settings: Settings, _: argparse.Namespace) -> int:
    print(status.in_words(settings, sign_in(settings.project)))
    return 0


def _watch(settings: Settings, options: argparse.Namespace) -> int:
    enabled = settings.environment(options.environment).watching is not None
    return watched.run(settings.project, enabled, options)


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
    changes = rollback.plan(list(registry.versions(sagemaker, group, file=ENDPOINT_FILE)), group, options.to)
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
        stages.staging(this, say)
    else:
        stages.production(this, say)
    return 0
