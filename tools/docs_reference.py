"""Writes docs/reference/: keys, variables, commands and roles, read from the code that they are about.

    python tools/docs_reference.py            # `make docs` does it; the folder is not in git

Made at each build rather than kept in git: a page that is made from the code cannot be behind it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import docs_commands
import docs_questions
import docs_roles
import docs_settings
import docs_variables

REFERENCE = Path(__file__).resolve().parents[1] / "docs/reference"


def pages() -> dict[str, Callable[[], str]]:
    """File name -> what makes its text."""
    made: dict[str, Callable[[], str]] = {
        file.name.removeprefix("config/").replace(".", "-") + ".md": lambda file=file: docs_settings.page(
            file
        )  # type: ignore[misc]
        for file in docs_settings.FILES
    }
    return made | {
        "foundation-variables.md": docs_variables.page,
        "commands.md": docs_commands.page,
        "questions.md": docs_questions.page,
        "roles.md": docs_roles.page,
    }


def write(folder: Path) -> None:
    """Write every page; one that is as it was keeps its time, so that MkDocs builds only what changed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, make in made.items():
        path, text = folder / name, "---\nhide: [toc]\n---\n\n" + make()  # their tables need the room
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.md"):
        if path.name not in made:
            path.unlink()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=REFERENCE, help="another folder")
    write(parser.parse_args().output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
