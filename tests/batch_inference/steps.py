"""The steps of batch-inference, imported as a container finds them; nothing is left for others to find."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

COLLECTION = Path(__file__).resolve().parents[2]
FOLDERS = (
    COLLECTION / "batch-inference/{{cookiecutter.project_slug}}/steps",
    COLLECTION / "shared/parts/pipeline/steps",
)


def step(name: str) -> ModuleType:
    """A module of steps/. Those of model-build have the same names, some of them."""
    before = dict(sys.modules)
    own = {path.stem for folder in FOLDERS for path in folder.glob("*.py")}
    for each in own & before.keys():
        del sys.modules[each]
    sys.path[:0] = map(str, FOLDERS)
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[: len(FOLDERS)]
        for each in own & sys.modules.keys():
            del sys.modules[each]
        sys.modules.update({each: module for each, module in before.items() if each in own})
