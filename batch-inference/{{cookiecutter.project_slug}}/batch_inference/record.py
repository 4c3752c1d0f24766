"""What is deployed to one environment, decided once by staging's build; Terraform applies it.

Beside a record in the build's folder lie the two files that it names: the pipeline's definition and the
functions' code. It holds their digests, so that what production gets is what staging has proven.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple, Self

from configuration import UserError
from release import build as builds
from release.aws import Session
from release.build import Build, archive
from release.history import History

from .config import ProjectConfig, Settings

VERSION = 1
FUNCTIONS = "functions.zip"

#: folder -> where its files are in the zip. steps/: the function that begins a run gives it the steps' code.
CODE = {"functions": "", "steps": "steps/", "watching": "watching/"}


class Record(NamedTuple):
    """One environment.

    Attributes:
        environment: staging or production.
        name: of the SageMaker pipeline.
        bucket: with the files and their answers.
        enabled: false: there is to be nothing but the bucket.
        model_package_group: whose newest approved version answers.
        settings: `config/transform.yaml` for this environment.
        definition: the file with the pipeline's definition.
        definition_sha256: of that file, in hexadecimal.
        functions: the file with the functions' code.
        functions_sha256: of that file, as Lambda shows it: base64.
        commit: of this repository.
        terraform: a digest of the Terraform files that it was applied with.
    """

    environment: str
    name: str
    bucket: str
    enabled: bool
    model_package_group: str
    settings: dict[str, Any]
    definition: str
    definition_sha256: str
    functions: str
    functions_sha256: str
    commit: str
    terraform: str

    @property
    def label(self) -> str:
        """Names it among the records that were live before."""
        return self.commit[:8]

    def serves_as(self, other: Self | None) -> bool:
        """Whether both come to the same; a commit that changes nothing of it does not count."""
        return other is not None and self._replace(commit="") == other._replace(commit="")

    def in_words(self) -> str:
        """For a person: `pipeline survey-batch-staging (commit 1a2b3c4d)`."""
        if not self.enabled:
            return "nothing"
        return f"pipeline {self.name} (commit {self.label})"

    def to_json(self) -> str:
        """The record as a file."""
        return json.dumps({"version": VERSION, **self._asdict()}, indent=2, ensure_ascii=False) + "\n"


def make(
    settings: Settings, environment: str, definition: str, functions: bytes, commit: str, terraform: str
) -> Record:
    """The record of one environment under the present configuration.

    Args:
        settings: of the repository.
        environment: staging or production.
        definition: the pipeline's definition, as it will be in its file.
        functions: the functions' code.
        commit: of the repository.
        terraform: a digest of the Terraform files.
    """
    wanted, machines = settings.transform, settings.environment(environment)
    return Record(
        environment,
        settings.pipeline(environment),
        settings.data_bucket(environment),
        machines.enabled,
        wanted.model_package_group,
        {
            **wanted.model_dump(mode="json", include={"input", "output", "retention"}),
            **machines.model_dump(mode="json", exclude={"enabled"}),
        },
        f"{environment}-definition.json",
        hashlib.sha256(definition.encode()).hexdigest(),
        FUNCTIONS,
        base64.b64encode(hashlib.sha256(functions).digest()).decode(),
        commit,
        terraform,
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
        return Record(**document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where}: expected the record of a deployment (version {VERSION}), got something else: {error}"
        ) from None


def read(path: Path, where: str) -> Record:
    """The record that staging's build left.

    Raises:
        UserError: there is none, or it is no record.
    """
    try:
        return from_json(path.read_text(encoding="utf-8"), where)
    except FileNotFoundError:
        raise UserError(f"{where}: expected the record that the staging build makes, found none") from None


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


def functions_code(root: Path) -> bytes:
    """Everything that the functions run.

    Raises:
        UserError: one of the folders has no Python file.
    """
    return archive(root, CODE)
