"""Reads the configuration files; every problem is a line `file: key: expected …, got …`."""

from pathlib import Path

from configuration import files
from configuration import project as projects
from configuration.errors import ConfigError

from .config import EndpointConfig, ProjectConfig, Settings

ENDPOINT_FILE = "config/endpoint.yaml"
SCHEMA_FILE = "config/endpoint.schema.json"

_NAME = "letters, digits and hyphens, beginning and ending with a letter or digit"
_MEANINGS = {
    "model_package_group": _NAME,
    "endpoint_name": f"{_NAME}, or null",
    "name": "letters and digits, joined by single hyphens or underscores",
    "cron": "cron(minutes hours day month weekday year), such as cron(0 7 ? * MON-FRI *)",
}


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    project = files.read(root, projects.FILE, ProjectConfig, problems, projects.MEANINGS)
    endpoint = files.read(root, ENDPOINT_FILE, EndpointConfig, problems, _MEANINGS)
    if project is None or endpoint is None:
        raise ConfigError(problems)
    settings = Settings(root=root, project=project, endpoint=endpoint)
    if problem := _same_endpoint(settings):
        raise ConfigError([problem])
    return settings


def json_schema() -> str:
    """The JSON Schema of `config/endpoint.yaml`, which editors use to complete and check keys."""
    return files.json_schema(EndpointConfig)


def _same_endpoint(settings: Settings) -> str | None:
    """[read] CreateEndpoint: names are unique in an account and region, whatever their case."""
    staging, production = settings.endpoint_name("staging"), settings.endpoint_name("production")
    account = settings.account("staging")
    if account != settings.account("production") or staging.lower() != production.lower():
        return None
    return (
        f"{ENDPOINT_FILE}: production.endpoint_name: expected another name than staging's, because both are "
        f'in account {account}, got "{production}"'
    )
