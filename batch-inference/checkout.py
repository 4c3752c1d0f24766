"""Says where the collection is that this template is a part of; cookiecutter and cruft import this file."""

import importlib.util
import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent
EXTENSION = TEMPLATE.parent / "hooks/extension.py"
if not EXTENSION.is_file():
    sys.exit(
        f"{TEMPLATE} was taken without its collection, of which it is a part: "
        "give the whole repository's address and --directory"
    )
# by its path, and kept nowhere: the next template of this process may be in another checkout
spec = importlib.util.spec_from_file_location("extension", EXTENSION)
extension = importlib.util.module_from_spec(spec)
spec.loader.exec_module(extension)


class Checkout(extension.Checkout):
    """What cookiecutter.json names in _extensions."""

    template = TEMPLATE.name
