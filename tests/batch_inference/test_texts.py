"""What counts as an empty text in a batch is what the model reads as one."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from tests.batch_inference.steps import step

COLLECTION = Path(__file__).resolve().parents[2]


def texts_of_model_build() -> ModuleType:
    path = COLLECTION / "model-build/{{cookiecutter.project_slug}}/steps/serving/texts.py"
    spec = importlib.util.spec_from_file_location("texts_of_model_build", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_every_character_is_empty_for_both_or_for_none() -> None:
    batch, model = step("readers"), texts_of_model_build()
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        assert batch.is_empty(character) == (model.clean(character) == ""), hex(number)
