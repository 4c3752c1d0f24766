"""Tells the hooks where the collection's checkout is; cookiecutter and cruft import this from there."""

import sys
from pathlib import Path

from jinja2 import Environment, UndefinedError, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

COLLECTION = Path(__file__).resolve().parents[1]


class Checkout(Extension):
    """What the hooks' stubs and config/project.yaml call."""

    def __init__(self, environment: Environment) -> None:
        """Refuse a template that was taken out of its collection: UnknownExtension shows an ImportError's words."""
        super().__init__(environment)
        sys.modules.pop(__name__, None)  # the next template of this process may be in another checkout
        if not (COLLECTION / "hooks/generation.py").is_file():
            raise ImportError(
                f"{Path(__file__).parent} was taken without its collection, of which it is a part: "
                "give the whole repository's address and --directory"
            )
        environment.globals.update(collection=COLLECTION.as_posix(), assembled=assembled)


@pass_context
def assembled(context: Context) -> str:
    """Nothing; but where no hook has run, this is what ends the generation and removes its folder."""
    answers = context["cookiecutter"]
    if "_output_dir" in answers and not Path(answers["_output_dir"], answers["project_slug"], "wheels").is_dir():
        raise UndefinedError("the template's hooks add half of the files: generate without --accept-hooks no")
    return ""
