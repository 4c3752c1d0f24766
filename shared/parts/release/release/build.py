"""The build that this runs in: whose credentials, which execution of the pipeline, what it hands on."""

import os
from pathlib import Path
from typing import NamedTuple

from configuration.project import ProjectConfig

from . import locks
from .aws import Session, session, stop_on_other_account

#: Files that the buildspec turns into exported variables, and the records that go on to production.
FOLDER = "deployment"
LONGEST_VARIABLE = 900  # characters; an approval's comment holds 1,000


class Build(NamedTuple):
    """One build.

    Attributes:
        root: the repository's top folder.
        project: config/project.yaml.
        own: the build's own credentials, in the shared services account.
        execution: of the pipeline; "by-hand" outside of one.
        commit: of this repository.
        build_id: of CodeBuild; None outside of it.
    """

    root: Path
    project: ProjectConfig
    own: Session
    execution: str
    commit: str
    build_id: str | None

    def export(self, name: str, value: str) -> None:
        """Leaves a value for the buildspec, which exports it to the pipeline."""
        self.folder.mkdir(exist_ok=True)
        line = " ".join(value.split())[:LONGEST_VARIABLE]
        (self.folder / name).write_text(line, encoding="utf-8", newline="\n")

    @property
    def folder(self) -> Path:
        """Where files for the buildspec go."""
        return self.root / FOLDER

    def other_builds(self, environment: str) -> list[str]:
        """Builds that deploy to the same environment at this moment."""
        project = f"{self.project.slug}-{environment}"
        return locks.running_builds(self.own.client("codebuild"), project, self.build_id)


def current(root: Path, project: ProjectConfig) -> Build:
    """The build that this process is part of.

    Raises:
        UserError: these are another account's credentials.
    """
    return Build(
        root,
        project,
        sign_in(project),
        os.environ.get("PIPELINE_EXECUTION_ID") or "by-hand",
        (root / ".commit").read_text(encoding="utf-8").strip(),
        os.environ.get("CODEBUILD_BUILD_ID"),
    )


def sign_in(project: ProjectConfig) -> Session:
    """The credentials of whoever runs this, if they are of the shared services account.

    Raises:
        UserError: there are none, or another account's.
    """
    own = session(project.region)
    wanted = project.accounts.shared_services
    stop_on_other_account(own, wanted, "accounts.shared_services in config/project.yaml")
    return own
