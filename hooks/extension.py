"""What a template's checkout.py gives to Jinja; it runs inside cookiecutter or cruft.

A person's mistake ends the program here, as no exception does that both show without a traceback.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, UndefinedError, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

COLLECTION = Path(__file__).resolve().parents[1]

# Older ones hand over a yes or no as text.
OLDEST = [2, 2]

# Where a template came from may hold a password, and a rendered hook stays in the temporary folder.
ADDRESSES = ("_template", "_repo_dir")


class Checkout(Extension):
    """What the stubs of the hooks and config/project.yaml call; a template's own class says which it is."""

    template: str

    def __init__(self, environment: Environment) -> None:
        """Make the functions known.

        Raises:
            SystemExit: cookiecutter is too old.
        """
        super().__init__(environment)
        # the next template of this process may be in another checkout
        sys.modules.pop(type(self).__module__, None)
        found = metadata.version("cookiecutter")  # 2.2.0 says of itself that it is 2.1.2
        if [int(number) for number in re.findall(r"\d+", found)[:2]] < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            sys.exit(f"expected cookiecutter {oldest} or newer, found {found}: pip install -U cookiecutter")
        environment.globals.update(checkout=self.checkout, assembled=assembled)

    @pass_context
    def checkout(self, context: Context) -> dict[str, Any]:
        """What a hook is told: where the collection is, which template this is, and the answers."""
        answers = {key: value for key, value in context["cookiecutter"].items() if key not in ADDRESSES}
        return {"collection": COLLECTION.as_posix(), "template": self.template, "answers": answers}


@pass_context
def assembled(context: Context) -> str:
    """Nothing; but in a new folder that no hook has seen, this ends the generation.

    Raises:
        UndefinedError: it was told to run no hooks. Of all errors, this is the one after which cookiecutter
            removes the folder. cruft always runs hooks, and does not say where it writes.
    """
    answers = context["cookiecutter"]
    under_cruft = "_output_dir" not in answers
    if under_cruft or Path(answers["_output_dir"], answers["project_slug"], "wheels").is_dir():
        return ""
    raise UndefinedError("the template's hooks add half of the files: generate without --accept-hooks no")
