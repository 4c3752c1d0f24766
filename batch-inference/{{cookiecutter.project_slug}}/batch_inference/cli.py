"""The command line: `python -m batch_inference COMMAND`, or `make COMMAND`."""

import argparse
from collections.abc import Sequence
from typing import Any

from configuration import UserError
from configuration.command_line import YES, CommandLine, Finding, say, shown
from release import question, registry, watched
from release.aws import Session
from release.build import sign_in
from release.environments import ENVIRONMENTS, PRODUCTION, STAGING

from . import definition, report, requests, results, retarget, stages, submit
from .config import SCHEMA_FILE, TRANSFORM_FILE, Settings, json_schema, load
from .record import current_run, functions_code, history

EXAMPLES = f"""\
examples:
  python -m batch_inference check                   is config/transform.yaml right?
  python -m batch_inference status                  what is live, and what waits for an answer
  python -m batch_inference submit survey.csv       have a file answered in staging, follow, show the result
  python -m batch_inference results                 what was answered lately
  python -m batch_inference promote                 let into production what staging has proven

environment variables:
  AWS_PROFILE, AWS_ACCESS_KEY_ID, ...  credentials, as for every AWS tool
  {YES}=1                          do not ask before promote
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is 0 only if it did what it was asked to."""
    return commands().run(arguments)


def commands() -> CommandLine[Settings]:
    """All commands."""
    line = CommandLine("batch_inference", "Answer files with the newest approved model.", load, EXAMPLES)
    line.add("check", _check, "is the configuration right, and does the pipeline's definition build?")
    line.add("schema", _schema, f"write {SCHEMA_FILE}, which editors use to check config/transform.yaml")
    line.add("status", _status, "what is live, which model answers, what waits for an answer")
    submit.add_arguments(line.add("submit", submit.run, "have files answered, and show what came of them"))
    watched.add_arguments(
        line.add("watch", _watch, "what it answers lately, beside what the model was trained with")
    )
    results.add_arguments(line.add("results", results.run, "what was answered lately; or one file's answers"))
    asks = line.add("promote", _promote, "answer the pipeline's question: what staging has proven")
    asks.add_argument("--reject", metavar="REASON", help="answer no, and say why")
    asks.add_argument("--yes", action="store_true", help=f"do not ask (or {YES}=1)")
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
    ended = question.promote(own, settings.project.slug, reject=options.reject, yes=options.yes)
    if ended == 0:
        print(
            "Approved. The pipeline deploys it to production now: make status"
            if options.reject is None
            else "Rejected. Production stays as it is."
        )
    return ended


def _deploy(settings: Settings, options: argparse.Namespace) -> int:
    stage = stages.staging if options.environment == STAGING else stages.production
    stage(current_run(settings), say)
    return 0


def findings(settings: Settings) -> list[Finding]:
    """What a deployment needs: what would be deployed is built, the model registry asked if that can be."""
    return [
        Finding(True, "config/project.yaml and config/transform.yaml are valid"),
        *(_planned(settings, name) for name in ENVIRONMENTS),
        _canary(settings),
        _definition(settings),
        registry.newest_model(settings.project, settings.transform.model_package_group, file=TRANSFORM_FILE),
    ]


def _planned(settings: Settings, name: str) -> Finding:
    where = f"{name}: s3://{settings.data_bucket(name)}/{settings.transform.input.prefix}"
    if not settings.environment(name).enabled:
        return Finding(None, f"{where} is not enabled: what is there is taken down by the next deployment")
    return Finding(True, f"{where}. {report.settings_in_words(settings, name)}")


def _canary(settings: Settings) -> Finding:
    canary = settings.transform.canary
    path = settings.root / canary.file
    try:
        submit.check_file(path, path.name, settings.transform)
    except UserError as error:
        return Finding(False, f"{error}; put rows of your own there, or name another file (canary.file)")
    return Finding(True, f"the canary file, {canary.file}, can be read as config/transform.yaml says")


def _definition(settings: Settings) -> Finding:
    built = definition.build(settings, requests.target(settings, STAGING))
    changes = retarget.substitutions(settings)
    retarget.retarget(built, changes)
    functions_code(settings.root)
    applied = sum(1 for change in changes if change.staging != change.production)
    return Finding(
        True, f"the pipeline's definition builds; {applied} declared substitutions make {PRODUCTION}'s of it"
    )


def status_in_words(settings: Settings, own: Session) -> str:
    """What is live, which model would answer, what waits for an answer: a few lines for a person.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    project = settings.project
    records = history(project, own)
    lines = [_approved(own.client("sagemaker"), settings.transform.model_package_group)]
    for environment in ENVIRONMENTS:
        live = records.live(environment)
        where = f"s3://{settings.data_bucket(environment)}/{settings.transform.input.prefix}"
        lines.append(
            f"  {environment:<11} {f'{live.in_words()}; put files into {where}' if live else 'nothing yet'}"
        )
    asked = question.waiting(own.client("codepipeline"), project.slug)
    lines.append(
        f"  waits       {asked.summary}\n              make promote" if asked else "  waits       nothing"
    )
    return "\n".join(lines)


def _approved(sagemaker: Any, group: str) -> str:
    package = registry.newest_approved(sagemaker, group, file=TRANSFORM_FILE)
    if package is None:
        return f"  {group}: no version is approved, so no file can be answered"
    return f"  {group}: version {package.number} is the newest approved one, and answers the next file"
