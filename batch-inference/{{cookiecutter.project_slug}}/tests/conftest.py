"""A configuration that tests may change."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from batch_inference.config import Settings
from batch_inference.load import load

ROOT = Path(__file__).parents[1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the configuration that tests change."""
    # what `terraform init` leaves links to a provider of 700 MB, which a copy would hold
    unwanted = shutil.ignore_patterns(".terraform", "__pycache__")
    for folder in ("config", "examples", "functions", "steps", "terraform", "watching"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unwanted)
    shutil.copy(ROOT / "tests/transform.yaml", tmp_path / "config/transform.yaml")
    (tmp_path / ".commit").write_text("0" * 40 + "\n")
    return tmp_path


@pytest.fixture
def edit(repository: Path) -> Callable[[str, str, str], None]:
    """Replaces text in a file of the copy, once; fails if the text is not there."""

    def replace(name: str, old: str, new: str) -> None:
        path = repository / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


@pytest.fixture
def settings(repository: Path) -> Settings:
    """Both files."""
    return load(repository)
