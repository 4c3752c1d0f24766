"""What is deployed to one environment, decided once; Terraform applies it, and again to go back.

And the run of a build that deploys it.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from configuration import UserError
from release import build as builds
from release.aws import Session
from release.build import Build, archive, terraform_digest
from release.environments import account_of
from release.history import History
from release.registry import Package

from . import own_image
from .config import ProjectConfig, Settings

VERSION = 1

WATCHING_FILE = "watching.zip"
"""In the build's folder, beside the record; Terraform takes it from there."""


class Model(NamedTuple):
    """The model package behind the endpoint."""

    package_arn: str
    group: str
    package_version: int
    data_url: str  # s3://…/model.tar.gz
    image: str
    #: The image that `image` is a copy of in the endpoint's account (own_image.py); None: as registered.
    copy_of: str | None = None
    #: With a copy the model is made of its parts: the variables that the version was registered with.
    variables: dict[str, str] | None = None


class Record(NamedTuple):
    """One environment's endpoint.

    Attributes:
        environment: staging or production.
        endpoint_name: in SageMaker.
        model: None: there is to be no endpoint.
        settings: `config/endpoint.yaml` for this environment, but for the smoke test.
        commit: of this repository.
        terraform: a digest of the Terraform files, and of the functions' code, that it was applied with.
    """

    environment: str
    endpoint_name: str
    model: Model | None
    settings: dict[str, Any]
    commit: str
    terraform: str

    def serves_as(self, other: "Record | None") -> bool:
        """Whether both are the same endpoint; a commit that changes nothing of it does not count."""
        return other is not None and self._replace(commit="") == other._replace(commit="")

    @property
    def label(self) -> str:
        """Names it among the records that were live before."""
        return f"v{self.model.package_version}" if self.model else "none"

    def in_words(self) -> str:
        """For a person: `email-router version 3`."""
        if self.model is None:
            return "no endpoint"
        return f"{self.model.group} version {self.model.package_version}"

    def to_json(self) -> str:
        """The record as a file."""
        document = {"version": VERSION, **self._asdict()}
        document["model"] = self.model._asdict() if self.model else None
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def make(settings: Settings, environment: str, package: Package, commit: str) -> Record:
    """The record of a version under the present configuration."""
    wanted = settings.environment(environment)
    project = settings.project
    image = own_image.in_account(
        package.image, project.accounts.shared_services, account_of(project, environment)
    )
    copied = image != package.image
    model = Model(
        package.arn,
        package.group,
        package.number,
        package.data_url,
        image,
        package.image if copied else None,
        dict(package.variables) if copied else None,
    )
    return Record(
        environment,
        settings.endpoint_name(environment),
        model if wanted.enabled else None,
        wanted.model_dump(mode="json", exclude={"enabled", "endpoint_name", "smoke_test"}),
        commit,
        terraform_digest(settings.root / "terraform", ("endpoint", "modules"), watching_code(settings.root)),
    )


def from_json(text: str, where: str) -> Record:
    """The record in a file.

    Raises:
        UserError: it is no record, or one of another version of this template.
    """
    try:
        document = json.loads(text)
        if document.pop("version") != VERSION:
            raise ValueError("another version")
        model = document.pop("model")
        fields = {name: document[name] for name in Record._fields if name != "model"}
        return Record(model=Model(**model) if model else None, **fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where}: expected the record of a deployment (version {VERSION}), got something else: {error}"
        ) from None


class Run(NamedTuple):
    """One run of a build."""

    settings: Settings
    build: Build
    history: History[Record]


def current_run(settings: Settings) -> Run:
    """The run that this process is part of.

    Raises:
        UserError: these are another account's credentials.
    """
    build = builds.current(settings.root, settings.project)
    return Run(settings, build, history(settings.project, build.own))


def history(project: ProjectConfig, own: Session) -> History[Record]:
    """The records of this repository's deployments."""
    return History(own.client("s3"), project.bucket, from_json)


def watching_code(root: Path) -> bytes:
    """The code of the functions that watch an endpoint (watching/), as one zip.

    Raises:
        UserError: the folder has no Python file.
    """
    return archive(root, {"watching": "watching/"})
