"""The two configuration files as checked data: `config/project.yaml` and `config/endpoint.yaml`.

Every problem is a line `file: key: expected …, got …`. Limits come from the SageMaker API (botocore's service
model) unless a comment says otherwise.
"""

import zoneinfo
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    model_validator,
)

from configuration import ConfigError, files, project
from configuration.files import Section
from release.environments import account_of
from release.settings import Cron, Watching, harmless

ENDPOINT_FILE = "config/endpoint.yaml"
SCHEMA_FILE = "config/endpoint.schema.json"

# [read] a request to a serverless endpoint may take 60 s; a container that has to start may take longer
LONGEST_ANSWER_MS = 60_000
LONGEST_COLD_START_MS = 180_000

_NAME_MEANING = "letters, digits and hyphens, beginning and ending with a letter or digit"
_MEANINGS = {
    "model_package_group": _NAME_MEANING,
    "endpoint_name": f"{_NAME_MEANING}, or null",
    "name": "letters and digits, joined by single hyphens or underscores",
    "cron": "cron(minutes hours day month weekday year), such as cron(0 7 ? * MON-FRI *)",
}

_Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9](-*[A-Za-z0-9])*$", max_length=63)]
_Concurrency = Annotated[int, Field(ge=1, le=200)]


def _known_timezone(name: str) -> str:
    known = zoneinfo.available_timezones()
    if known and name not in known:  # a machine without time zone data knows none
        raise ValueError("a time zone of the IANA list, such as America/Toronto or Etc/UTC")
    return name


def _text_or_columns(value: object) -> object:
    """Checked here, because pydantic has an error for each form that a value could have had."""
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, dict) and value and all(isinstance(part, str) for part in value.values() if part):
        return value
    raise ValueError("a text, or columns with texts such as {subject: …, body: …}")


def _label_or_labels(value: object) -> object:
    """Checked here, because pydantic has an error for each form that a value could have had."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, dict) and value and all(map(_is_label, value.values())):
        return value
    raise ValueError("a label, or one for each target such as {sentiment: negative, topics: [fees, staff]}")


def _is_label(value: object) -> bool:
    labels = value if isinstance(value, list) else [value]
    return all(isinstance(label, str) and label.strip() for label in labels)


class ScheduledConcurrency(Section):
    """Other bounds from a certain time on, until another entry changes them again."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([-_][A-Za-z0-9]+)*$", max_length=64)]
    """What AWS lists it as; once per environment."""
    cron: Cron
    """When it begins: cron(minutes hours day month weekday year)."""
    timezone: Annotated[str, AfterValidator(_known_timezone)] = "Etc/UTC"
    """The time zone of `cron`, by its IANA name."""
    minimum: _Concurrency
    """Fewest requests at a time to keep containers ready for."""
    maximum: _Concurrency
    """Most requests at a time to keep containers ready for."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _stop_unless_ordered(self.minimum, self.maximum)
        return self


class ProvisionedConcurrency(Section):
    """Containers that are kept ready, so that requests meet no cold start; waiting costs money."""

    minimum: _Concurrency
    """Fewest requests at a time to keep containers ready for."""
    maximum: _Concurrency
    """Most of them; the same as `minimum`, and no schedule: always that many."""
    target_utilization: Annotated[float, Field(ge=0.1, le=0.9)] = 0.7
    """The share in use that AWS adds and removes ready containers for."""
    schedule: list[ScheduledConcurrency] = []
    """Other bounds at certain times."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        names = [entry.name for entry in self.schedule]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"schedule: expected each name once, got {twice!r} twice")
        _stop_unless_ordered(self.minimum, self.maximum)
        return self


class Alarms(Section):
    """When CloudWatch tells the organisation's topic that the endpoint is not well."""

    error_percent: Annotated[float, Field(ge=0, le=100)] = 1
    """Alarm above this share of failed requests, in percent."""
    latency_p95_ms: Annotated[int, Field(ge=1, le=LONGEST_ANSWER_MS)] = 2000
    """Alarm when the slowest 5 % of requests keep the model longer than this, in milliseconds."""
    throttles: Annotated[int, Field(ge=0, le=4)] = 0
    """Alarm when requests may have been turned away in more than this many minutes of five."""
    concurrency_percent: Annotated[float, Field(gt=0, le=100)] = 80
    """Alarm above this share of max_concurrency in use, in percent."""


class Expectation(Section):
    """One request of the smoke test, and what a good model answers."""

    text: Annotated[str | dict[str, str | None], BeforeValidator(_text_or_columns)]
    """A text, or the text columns of training, such as {subject: …, body: …}."""
    label: Annotated[str | dict[str, str | list[str]], BeforeValidator(_label_or_labels)]
    """The label that has to come first; or that of each target, by its name: of several labels a list of what
    may not be missing ([]: there must be none)."""
    minimum_score: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The score that each of them has to have at least."""

    @property
    def targets(self) -> dict[str, str | list[str]]:
        """The same by target; "" is the target of a model that has one."""
        return {"": self.label} if isinstance(self.label, str) else self.label


class SmokeTest(Section):
    """Real requests that a deployment has to answer well before it counts."""

    requests: Annotated[list[Expectation], Field(min_length=1, max_length=50)]
    """The requests, each asked several times."""
    latency_ms: Annotated[int, Field(ge=1, le=LONGEST_ANSWER_MS)] = 1000
    """The longest that 95 % of the answers may take once it is warm, in milliseconds, network included."""
    cold_start_ms: Annotated[int, Field(ge=1, le=LONGEST_COLD_START_MS)] = 60_000
    """The longest that the very first answer may take, in milliseconds."""


class Environment(Section):
    """One endpoint."""

    enabled: bool = True
    """false: no endpoint; one that is there is taken down by the next deployment."""
    endpoint_name: _Name | None = None
    """Its name in SageMaker; null: the project's slug and the environment's name."""
    memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 3072
    """Memory of each container, in MB; more memory comes with more CPU."""
    max_concurrency: _Concurrency = 5
    """Requests that it answers at a time; further ones are turned away."""
    provisioned_concurrency: ProvisionedConcurrency | None = None
    """Containers that are kept ready; null: none, and a request after a pause waits for a cold start."""
    environment: Annotated[dict[str, str], AfterValidator(harmless)] = {}
    """Environment variables of the container; no secrets."""
    alarms: Alarms = Alarms()
    """When to be told."""
    watching: Watching | None = Watching()
    """What is counted of the answers; null: nothing."""
    smoke_test: SmokeTest | None = None
    """Another smoke test than the one below, for this environment."""

    @model_validator(mode="after")
    def _within_max_concurrency(self) -> Self:
        kept = self.provisioned_concurrency
        if kept is None:
            return self
        bounds = {"maximum": kept.maximum}
        bounds |= {f"schedule.{number}.maximum": each.maximum for number, each in enumerate(kept.schedule)}
        for key, maximum in bounds.items():
            if maximum > self.max_concurrency:
                raise ValueError(
                    f"provisioned_concurrency.{key}: expected at most max_concurrency "
                    f"({self.max_concurrency}), got {maximum}"
                )
        return self


class EndpointConfig(Section):
    """`config/endpoint.yaml`."""

    model_package_group: _Name
    """The group whose newest approved model package is served."""
    staging: Environment = Environment()
    """The endpoint in the shared services account."""
    production: Environment = Environment()
    """The endpoint in the production account."""
    smoke_test: SmokeTest
    """The smoke test of both."""


class ProjectConfig(project.ProjectConfig):
    """`config/project.yaml`. Terraform (terraform/) reads the same file."""

    folders: ClassVar[tuple[str, ...]] = ("deployments", "reports")


class Settings(Section):
    """Both files, and the folder that paths are relative to. `name` is staging or production."""

    root: Path
    project: ProjectConfig
    endpoint: EndpointConfig

    def environment(self, name: str) -> Environment:
        """What is configured for one environment."""
        return {"staging": self.endpoint.staging, "production": self.endpoint.production}[name]

    def endpoint_name(self, name: str) -> str:
        """The endpoint's name in SageMaker; at most 63 characters, as a slug has at most 32."""
        return self.environment(name).endpoint_name or f"{self.project.slug}-{name}"

    def smoke_test(self, name: str) -> SmokeTest:
        """The smoke test of one environment."""
        return self.environment(name).smoke_test or self.endpoint.smoke_test

    def account(self, name: str) -> str:
        """The AWS account that one environment is in."""
        return account_of(self.project, name)


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    found = files.read(root, project.FILE, ProjectConfig, problems, project.MEANINGS)
    endpoint = files.read(root, ENDPOINT_FILE, EndpointConfig, problems, _MEANINGS)
    if found is None or endpoint is None:
        raise ConfigError(problems)
    settings = Settings(root=root, project=found, endpoint=endpoint)
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


def _stop_unless_ordered(minimum: int, maximum: int) -> None:
    if minimum > maximum:
        raise ValueError(f"maximum: expected at least minimum ({minimum}), got {maximum}")
