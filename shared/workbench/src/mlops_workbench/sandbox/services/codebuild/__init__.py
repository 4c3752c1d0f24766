"""AWS CodeBuild: projects as they were given, and builds that run their buildspec."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.codebuild import calls, records, running
from mlops_workbench.sandbox.session import Session


class CodeBuild(Service):
    """Projects and builds."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()

    def start(self, session: Session) -> None:
        """Say of the builds that a killed process left that they failed."""
        records.fail_interrupted()

    def stop(self, session: Session) -> None:
        """End the builds."""
        running.stop_all()


SERVICE = CodeBuild()
