"""A copy of this repository that tests may change."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The files that a run reads, copied; the configuration points to the sample data."""
    for folder in ("config", "data", "steps"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture
def edit(repository: Path):
    """Replaces text in a file of the copy, once; fails if the text is not there."""

    def replace(name: str, old: str, new: str) -> None:
        path = repository / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace
