"""The command line: `python -m serverless_inference COMMAND`, or `make COMMAND`."""

import argparse
from collections.abc import Sequence
from typing import Any

from configuration.command_line import YES, CommandLine, Finding, say, shown
from release import question, registry, watched
from release.aws import Session
from release.build import sign_in
from release.environments import ENVIRONMENTS, STAGING

from . import invoke, rollback, stages
from .config import ENDPOINT_FILE, SCHEMA_FILE, Environment, Settings, json_schema, load
from .record import current_run, history

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
    back = line.add(
        "rollback", rollback.run, "go back to an older version: approves it, rejects the newer ones"
    )
    rollback.add_arguments(back)
    for sub in (asks, back):
        sub.add_argument("--yes", action="store_true", help=f"do not ask (or {YES}=1)")
    deploys = line.add("deploy", _deploy, "what the pipeline's builds run; not for laptops")
    deploys.add_argument("environment", choices=ENVIRONMENTS)
    return line


def _check(settings: Settings, _: argparse.Namespace) -> int:
    return shown(findings(settings))


def _schema(settings: Settings, _: argparse.Namespace) -> int:
    (settings.root / SCHEMA_FILE).write_text(json_schema(), encoding="utf-8", newline="\n")
    print(f"wrote {SCHEMA_FILE}")
    return 0


def _status(settings: Settings, _: argparse.Namespace) -> int:
    print(status_in_words(settings, sign_in(settings.project)))
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


def _deploy(settings: Settings, options: argparse.Namespace) -> int:
    stage = stages.staging if options.environment == STAGING else stages.production
    stage(current_run(settings), say)
    return 0


def findings(settings: Settings) -> list[Finding]:
    """What a deployment needs; the model registry is looked at if there are credentials."""
    return [
        Finding(True, "config/project.yaml and config/endpoint.yaml are valid"),
        *(_planned(settings, name) for name in ENVIRONMENTS),
        registry.newest_model(settings.project, settings.endpoint.model_package_group, file=ENDPOINT_FILE),
    ]


def _planned(settings: Settings, name: str) -> Finding:
    wanted = settings.environment(name)
    where = f"{name}: endpoint {settings.endpoint_name(name)} in account {settings.account(name)}"
    if not wanted.enabled:
        return Finding(None, f"{where} is not enabled: if it is there, the next deployment takes it down")
    requests = len(settings.smoke_test(name).requests)
    return Finding(True, f"{where}, {_size(wanted)}; {requests} smoke-test request(s)")


def _size(wanted: Environment) -> str:
    warm = wanted.provisioned_concurrency
    kept = f", {warm.minimum} to {warm.maximum} kept warm" if warm else ""
    return f"{wanted.memory_mb} MB, at most {wanted.max_concurrency} request(s) at a time{kept}"


def status_in_words(settings: Settings, own: Session) -> str:
    """What is live, what is the newest approved version, what waits for an answer: a few lines for a person.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    project = settings.project
    records = history(project, own)
    lines = [_approved(own.client("sagemaker"), settings.endpoint.model_package_group)]
    for environment in ENVIRONMENTS:
        live = records.live(environment)
        words = f"{live.in_words()}, endpoint {live.endpoint_name}" if live else "nothing is live yet"
        lines.append(f"  {environment:<11} {words}")
    asked = question.waiting(own.client("codepipeline"), project.slug)
    lines.append(
        f"  waits       {asked.summary}\n              make promote" if asked else "  waits       nothing"
    )
    return "\n".join(lines)


def _approved(sagemaker: Any, group: str) -> str:
    package = registry.newest_approved(sagemaker, group, file=ENDPOINT_FILE)
    words = f"version {package.number} is the newest approved one" if package else "no version is approved"
    return f"  {group}: {words}"
