"""The page of every command: what `make` offers in each repository, and `--help` of every command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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
runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Program:
    """A command line: where it is, and the module that is run."""

    module: str
    folder: str
    intro: str

    @property
    def there(self) -> bool:
        """Whether the module is there."""
        place = COLLECTION / self.folder / self.module.replace(".", "/")
        return (place / "__main__.py").is_file() or place.with_suffix(".py").is_file()


PROGRAMS = (
    Program("model_build", f"model-build/{PROJECT}", "In a repository of the template model-build."),
    Program(
        "serverless_inference",
        f"serverless-inference/{PROJECT}",
        "In a repository of the template serverless-inference.",
    ),
    Program(
        "batch_inference", f"batch-inference/{PROJECT}", "In a repository of the template batch-inference."
    ),
    Program("mlops_workbench.delivery", "shared/parts/everywhere", "In every repository."),
    Program("mlops_workbench.doctor", "shared/parts/everywhere", "In every repository, as `make doctor`."),
    *(
        Program("mlops_workbench.cost", f"{template}/{PROJECT}", f"In a repository of {template}, as `make cost`.")
        for template in ("model-build", "serverless-inference", "batch-inference")
    ),
    Program("mlops_workbench.sandbox.cli", "shared/workbench/src", "Installed by every repository, as `mlops-sandbox`."),
    Program("demo", "tools", "In the collection."),
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
        [sys.executable, "-B", "-c", _PARSERS, program.module],
        cwd=COLLECTION / program.folder,
        env={**os.environ, "COLUMNS": str(WIDTH), "PYTHONPATH": "."},
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
        if not program.there:
            continue
        (prog, program_help), *commands = helps(program)
        title = f"## {prog}" if f"## {prog}" not in lines else f"## {prog}, in {program.folder.split('/')[0]}"
        lines += ["", title, "", program.intro, "", "```text", program_help.rstrip(), "```"]
        for command, text in commands:
            own, mark, examples = text.partition("\nexamples:\n")
            if examples not in program_help:  # what all commands end with stands once, above
                own += mark + examples
            lines += ["", f"### {command}", "", "```text", own.rstrip(), "```"]
    return "\n".join(lines) + "\n"
