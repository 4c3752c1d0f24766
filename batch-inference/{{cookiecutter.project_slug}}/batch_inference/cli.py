"""The command line: `python -m batch_inference COMMAND`, or `make COMMAND`."""

import argparse
from collections.abc import Sequence

from configuration.command_line import YES, CommandLine, say, shown
from release import question, watched
from release.build import sign_in
from release.environments import ENVIRONMENTS, STAGING

from . import check, results, run, stages, status, submit
from .config import Settings
from .load import SCHEMA_FILE, json_schema, load

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
    ended = question.promote(own, settings.project.slug, reject=options.reject, yes=options.yes)
    if ended == 0:
        print(
            "Approved. The pipeline deploys it to production now: make status"
            if options.reject is None
            else "Rejected. Production stays as it is."
        )
    return ended


def _deploy(settings: Settings, options: argparse.Namespace) -> int:
    this = run.current(settings)
    if options.environment == STAGING:
        stages.staging(this, say)
    else:
        stages.production(this, say)
    return 0
