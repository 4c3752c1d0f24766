"""The page of every command: what `make` offers in each repository, and `--help` of every command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from generated import repository

COLLECTION = Path(__file__).resolve().parents[1]
PROJECT = "{{cookiecutter.project_slug}}"
WIDTH = 110

# Runs a program until it reads its arguments, and prints each of its parsers' help instead.
_PARSERS = """
import argparse, json, runpy, sys
read = argparse.ArgumentParser.parse_known_args
def show(parser, *arguments, **named):
    if not parser.add_help:  # a first look at some options, before the real parser
        return read(parser, [], **named)
    helps, waiting = [], [parser]
    while waiting:
        one = waiting.pop(0)
        helps.append([one.prog, one.format_help()])
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += list(dict.fromkeys(action.choices.values()))
    print(json.dumps(helps))
    sys.exit()
argparse.ArgumentParser.parse_known_args = show
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Program:
    """A command line: the module (and command) that is run; the template whose repository has it, or None."""

    module: str
    template: str | None
    intro: str

    @property
    def folder(self) -> Path:
        """Where it is run."""
        return COLLECTION / "tools" if self.template is None else repository(self.template)


TEMPLATES = ("model-build", "serverless-inference", "batch-inference")
PROGRAMS = (
    *(
        Program(template.replace("-", "_"), template, f"In a repository of the template {template}.")
        for template in TEMPLATES
    ),
    Program("mlops_workbench register", "model-build", "In every repository."),
    Program("mlops_workbench doctor", "model-build", "In every repository, as `make doctor`."),
    *(
        Program("mlops_workbench cost", template, f"In a repository of {template}, as `make cost`.")
        for template in TEMPLATES
    ),
    Program(
        "mlops_workbench.sandbox.cli", "model-build", "Installed by every repository, as `mlops-sandbox`."
    ),
    Program("demo", None, "In the collection."),
)

MAKEFILES = {
    "model-build": f"model-build/{PROJECT}/Makefile",
    "serverless-inference": f"serverless-inference/{PROJECT}/Makefile",
    "batch-inference": f"batch-inference/{PROJECT}/Makefile",
    "this collection": "Makefile",
}


def targets(makefile: Path) -> dict[str, str]:
    """Targets that `make help` lists -> what they do."""
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", makefile.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def helps(program: Program) -> list[tuple[str, str]]:
    """(command, its --help) of a program and each of its commands.

    Raises:
        RuntimeError: the program has ended before it read its arguments; with what it said.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-c", _PARSERS, *program.module.split()],
        cwd=program.folder,
        env={
            **os.environ,
            "COLUMNS": str(WIDTH),
            "PYTHONPATH": f".{os.pathsep}{COLLECTION / 'shared/workbench/src'}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return [(prog, text) for prog, text in json.loads(done.stdout)]
    except json.JSONDecodeError:
        raise RuntimeError(
            f"{program.module}: expected its --help, got: {done.stdout}{done.stderr}"
        ) from None


def page() -> str:
    """The whole page."""
    lines = ["# Commands", "", "What each command says of itself. Generated at each build of these pages."]
    for name, makefile in MAKEFILES.items():
        lines += ["", f"## make, in {name}", "", "| command | what it does |", "| --- | --- |"]
        lines += [f"| `make {target}` | {does} |" for target, does in targets(COLLECTION / makefile).items()]
    for program in PROGRAMS:
        (prog, program_help), *commands = helps(program)
        title = f"## {prog}" if f"## {prog}" not in lines else f"## {prog}, in {program.template}"
        lines += ["", title, "", program.intro, "", "```text", program_help.rstrip(), "```"]
        for command, text in commands:
            own, mark, examples = text.partition("\nexamples:\n")
            if examples not in program_help:  # what all commands end with stands once, above
                own += mark + examples
            lines += ["", f"### {command}", "", "```text", own.rstrip(), "```"]
    return "\n".join(lines) + "\n"
