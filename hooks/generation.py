"""The two moments at which cookiecutter calls us, which cruft does as well."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from . import answers as rules
from . import assembly, repository

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable


def before(answers: dict[str, Any], parts: Iterable[str]) -> int:
    """Checks the answers and adds the collection's parts, before the template's own files are rendered.

    Args:
        answers: what the person said, and what cookiecutter or cruft adds to it.
        parts: the folders of shared/parts that this template has.

    Returns:
        The exit status; 1 makes cookiecutter remove the folder that it has begun.
    """
    broken = rules.problems(answers)
    if broken:
        # stderr escapes what the terminal cannot show, stdout would raise
        print(rules.report(broken), file=sys.stderr, flush=True)
        return 1
    chosen = [*parts, *(["cloud"] if answers["bitbucket_hosting"] == "cloud" else [])]
    try:
        assembly.assemble(Path.cwd(), chosen, answers["owner_email"])
    except (OSError, assembly.AssemblyError) as error:
        print(f"Nothing is generated, because the collection's files could not be added: {error}", file=sys.stderr)
        return 1
    return 0


def after(answers: dict[str, Any]) -> None:
    """Makes the repository and registers it; never fails, because cookiecutter would delete the files."""
    try:
        repository.main(answers)
    except (Exception, KeyboardInterrupt) as error:
        failed = f"The files are generated; what was to follow failed: {error or 'interrupted'}"
        print(failed, file=sys.stderr, flush=True)
    finally:
        os._exit(0)  # also where nobody reads what it says
