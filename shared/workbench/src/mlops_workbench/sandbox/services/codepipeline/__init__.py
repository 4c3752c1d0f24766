"""AWS CodePipeline: pipelines as they were given, and executions that carry a commit through their stages."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.codepipeline import answers, calls, records, running
from mlops_workbench.sandbox.services.codepipeline.actions.build import Builds
from mlops_workbench.sandbox.services.codepipeline.calls import register
from mlops_workbench.sandbox.session import Event, Session, current


class CodePipeline(Service):
    """Pipelines and executions."""

    def install(self) -> None:
        """Patch moto."""
        for call in (*calls.CALLS, *answers.CALLS):
            register(call)

    def start(self, session: Session) -> None:
        """Say of the executions that a killed process left that they failed."""
        records.fail_interrupted()

    def deliver(self, event: Event) -> None:
        """Take the end of a build that an action waits for."""
        if event.source == "aws.codebuild":
            current().part(Builds).told(event.detail)

    def stop(self, session: Session) -> None:
        """End the executions."""
        running.stop_all()


SERVICE = CodePipeline()
