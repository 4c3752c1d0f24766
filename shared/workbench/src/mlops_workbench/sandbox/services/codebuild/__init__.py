"""AWS CodeBuild: projects as they were given, and builds that run their buildspec."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.codebuild import builds as calls
from mlops_workbench.sandbox.aws.codebuild import projects
from mlops_workbench.sandbox.delivery import build_records, builds
from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.session import Session


class CodeBuild(Service):
    """Projects and builds."""

    def install(self) -> None:
        """Patch moto."""
        projects.install()
        calls.install()

    def start(self, session: Session) -> None:
        """Say of the builds that a killed process left that they failed."""
        build_records.fail_interrupted()

    def stop(self, session: Session) -> None:
        """End the builds."""
        builds.stop_all()


SERVICE = CodeBuild()
