"""What the commands take from functions/ and steps/, so that a rule of theirs is not written twice.

Those folders hold scripts for Lambda and for containers, not packages, and so their modules have no prefix.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(_ROOT / "functions"), str(_ROOT / "steps")]

import places  # noqa: E402
from columns import AddedNames, Columns, added_columns, target_columns  # noqa: E402
from failure import StepError  # noqa: E402
from lines import Lines  # noqa: E402
from model_answers import Target as Answered  # noqa: E402
from readers import NO_TEXT, CsvReader, JsonReader  # noqa: E402

__all__ = [
    "NO_TEXT",
    "AddedNames",
    "Answered",
    "Columns",
    "CsvReader",
    "JsonReader",
    "Lines",
    "StepError",
    "added_columns",
    "places",
    "target_columns",
]
