"""The two moments at which cookiecutter calls us, which cruft does as well."""

from __future__ import annotations

import sys
from pathlib import Path

from . import answers as rules
from . import assembly, repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable


def before(answers: dict[str, Any]) -> int:
    """Checks the answers, and adds the workbench's wheel.

    The wheel is what tells the template that a hook has run (checkout.py: assembled). All else comes after the
    template's own files, because cookiecutter refuses a folder that is there already.

    Returns:
        The exit status; 1 makes cookiecutter remove the folder that it has begun.
    """
    broken = rules.problems(answers)
    if broken:
        # stderr escapes what the terminal cannot show, stdout would raise
        print(rules.report(broken), file=sys.stderr, flush=True)
        return 1
    return _assembled(lambda: assembly.add_wheel(Path.cwd()))


def after(answers: dict[str, Any], parts: Iterable[str]) -> int:
    """Adds the parts that templates share, makes the repository and registers it.

    Args:
        answers: what the person said, and what cookiecutter or cruft adds to it.
        parts: the folders of shared/parts that this template has.

    Returns:
        The exit status; 1, which makes cookiecutter delete what it has generated, only where a part is missing.
    """
    chosen = [*parts, *(["cloud"] if answers["bitbucket_hosting"] == "cloud" else [])]
    status = _assembled(lambda: assembly.add_parts(Path.cwd(), chosen, answers["owner_email"]))
    if status:
        return status
    try:
        repository.main(answers)
    except (Exception, KeyboardInterrupt) as error:
        failed = f"The files are generated; what was to follow failed: {error or 'interrupted'}"
        print(failed, file=sys.stderr, flush=True)
    return 0


def _assembled(add: Callable[[], None]) -> int:
    try:
        add()
    except (OSError, assembly.AssemblyError) as error:
        print(f"Nothing is generated, because the collection's files could not be added: {error}", file=sys.stderr)
        return 1
    return 0
