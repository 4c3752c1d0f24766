"""Reads the configuration files; every problem is a line `file: key: expected …, got …`."""

from pathlib import Path

from configuration import files
from configuration import project as projects
from configuration.errors import ConfigError

from .config import ModelConfig, ProjectConfig, Settings

MODEL_FILE = "config/model.yaml"
SCHEMA_FILE = "config/model.schema.json"

_PROJECT_MEANINGS = {
    **projects.MEANINGS,
    "execution_role_arn": "the ARN of an IAM role, or null",
    "subnets": "subnet ids such as subnet-0abc1234",
    "security_group_ids": "security group ids such as sg-0abc1234",
}
_MODEL_MEANINGS = {
    "phone_region": "a country in two capital letters, such as CA",
    "targets": "names of small letters, digits and _, such as sentiment",
    "instance_type": "an instance type such as ml.m5.xlarge",
    "schedule": "cron(minutes hours day month weekday year) or rate(7 days), or null",
}


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    project = files.read(root, projects.FILE, ProjectConfig, problems, _PROJECT_MEANINGS)
    model = files.read(root, MODEL_FILE, ModelConfig, problems, _MODEL_MEANINGS)
    if project is None or model is None:
        raise ConfigError(problems)
    return Settings(root=root, project=project, model=model)


def json_schema() -> str:
    """The JSON Schema of `config/model.yaml`, which editors use to complete and check keys."""
    return files.json_schema(ModelConfig)
