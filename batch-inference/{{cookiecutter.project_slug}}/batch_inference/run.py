"""What the two builds work on: this repository's settings, the build they run in, and the records."""

from typing import NamedTuple

from release import build as builds
from release.aws import Session
from release.build import Build
from release.history import History

from . import record as records
from .config import ProjectConfig, Settings
from .record import Record


class Run(NamedTuple):
    """One run of a build."""

    settings: Settings
    build: Build
    history: History[Record]


def current(settings: Settings) -> Run:
    """The run that this process is part of.

    Raises:
        UserError: these are another account's credentials.
    """
    build = builds.current(settings.root, settings.project)
    return Run(settings, build, history(settings.project, build.own))


def history(project: ProjectConfig, own: Session) -> History[Record]:
    """The records of this repository's deployments."""
    return History(own.client("s3"), project.bucket, records.from_json)
