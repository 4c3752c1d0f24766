"""Reads the configuration files; every problem is a line `file: key: expected …, got …`."""

from pathlib import Path

from configuration import files
from configuration import project as projects
from configuration.errors import ConfigError

from .config import ProjectConfig, Settings, TransformConfig

TRANSFORM_FILE = "config/transform.yaml"
SCHEMA_FILE = "config/transform.schema.json"

_MEANINGS = {
    "model_package_group": "letters, digits and hyphens, beginning and ending with a letter or digit",
    "prefix": "a folder such as input/: letters, digits, . _ - and /, with / at the end",
    "instance_type": "an instance type of SageMaker, such as ml.m5.large",
    "delimiter": "one character",
}


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    project = files.read(root, projects.FILE, ProjectConfig, problems, projects.MEANINGS)
    transform = files.read(root, TRANSFORM_FILE, TransformConfig, problems, _MEANINGS)
    if project is None or transform is None:
        raise ConfigError(problems)
    settings = Settings(root=root, project=project, transform=transform)
    if not (root / transform.canary.file).is_file():
        found = f"canary.file: expected a file of this repository, got {transform.canary.file!r}"
        raise ConfigError([f"{TRANSFORM_FILE}: {found}"])
    return settings


def json_schema() -> str:
    """The JSON Schema of `config/transform.yaml`, which editors use to complete and check keys."""
    return files.json_schema(TransformConfig)
