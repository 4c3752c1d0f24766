"""The two moments at which cookiecutter calls us, which cruft does as well."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Callable

from . import answers as rules
from . import assembly, repository


def before(template: str, answers: dict[str, Any]) -> int:
    """Checks the answers and that the collection is complete, and adds the workbench's wheel.

    The wheel is what tells the template that a hook has run (extension.py: assembled). All else comes after
    the template's own files, because cookiecutter refuses a folder that is there already.

    Args:
        template: the folder of the template.
        answers: what the person said, and what cookiecutter or cruft adds to it.

    Returns:
        The exit status; 1 makes cookiecutter remove the folder that it has begun.
    """
    if not settings_are(template, answers):
        return refuse("these answers are another version's of the template: answer again, without --replay")
    broken = rules.problems(answers)
    if broken:
        # stderr escapes what the terminal cannot show, stdout would raise
        print(rules.report(broken), file=sys.stderr, flush=True)
        return 1

    def add() -> None:
        assembly.parts(template, answers)
        assembly.add_wheel(Path.cwd())

    return assembled(add)


def after(template: str, answers: dict[str, Any]) -> int:
    """Adds the parts that templates share, makes the repository and registers it.

    It does not return where all files are there: what fails after that must not end with a status that makes
    cookiecutter delete them.

    Args:
        template: the folder of the template.
        answers: what the person said, and what cookiecutter or cruft adds to it.

    Returns:
        The exit status 1, which makes cookiecutter delete what it has generated: a file could not be added.
    """
    owner = answers["owner_email"]
    status = assembled(lambda: assembly.add_parts(Path.cwd(), assembly.parts(template, answers), owner))
    if status:
        return status
    try:
        repository.main(answers)
    except (Exception, KeyboardInterrupt) as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else error
        print(f"The files are generated; what was to follow failed: {reason}", file=sys.stderr, flush=True)
    finally:
        os._exit(0)  # without Python's own last words, which fail where nobody reads them


def settings_are(template: str, answers: dict[str, Any]) -> bool:
    """Whether the answers come with this version's settings; a replay brings the settings of its own."""
    path = assembly.COLLECTION / template / "cookiecutter.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    ours = {key for key in settings if key.startswith("_") and not key.startswith("__")}
    return all(answers.get(key) == settings[key] for key in ours)


def assembled(add: Callable[[], None]) -> int:
    """Adds files; the exit status."""
    try:
        add()
    except (OSError, assembly.AssemblyError) as error:
        return refuse(f"the collection's files could not be added: {error}")
    except KeyboardInterrupt:
        return refuse("it was interrupted")
    return 0


def refuse(reason: str) -> int:
    """Says why in one line; the exit status."""
    print(f"Nothing is generated, because {reason}", file=sys.stderr, flush=True)
    return 1
