"""A configuration that tests may change, and the folder of an execution."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from execution import Execution

from batch_inference.config import Settings, load

ROOT = Path(__file__).parents[1]

# What the tests read in the place of config/transform.yaml, which a data scientist changes.
CONFIGURATION = """\
model_package_group: survey-sentiment
input:
  text_columns: [comment]
  carry_columns: [response_id, date]
staging:
  transform: {instance_type: ml.m5.large, max_concurrent_transforms: 2}
  processing: {instance_type: ml.m5.large, volume_gb: 30}
production:
  transform:
    instance_type: ml.m5d.xlarge
    instance_count: 3
    strategy: MultiRecord
    max_concurrent_transforms: 4
    max_payload_mb: 6
    split: None
    join: None
    timeout_seconds: 900
    max_retries: 3
    environment: {LOG_LEVEL: debug}
  processing: {instance_type: ml.m5d.2xlarge, volume_gb: 60, max_runtime_minutes: 90}
canary: {file: examples/canary.csv, label_column: sentiment}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the configuration that tests change."""
    # what `terraform init` leaves links to a provider of 700 MB, which a copy would hold
    unwanted = shutil.ignore_patterns(".terraform", "__pycache__")
    for folder in ("config", "examples", "functions", "steps", "terraform", "watching"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unwanted)
    (tmp_path / "config/transform.yaml").write_text(CONFIGURATION, encoding="utf-8")
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


@pytest.fixture
def execution(tmp_path: Path) -> Execution:
    """The folder of an execution of the pipeline."""
    return Execution(tmp_path)
