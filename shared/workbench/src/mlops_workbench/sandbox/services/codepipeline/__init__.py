"""AWS CodePipeline: pipelines as they were given, and executions that carry a commit through their stages."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.codepipeline import actions, answers, state
from mlops_workbench.sandbox.aws.codepipeline import executions as execution_calls
from mlops_workbench.sandbox.aws.codepipeline import pipelines as pipeline_calls
from mlops_workbench.sandbox.aws.codepipeline.requests import register
from mlops_workbench.sandbox.delivery import executions, pipelines
from mlops_workbench.sandbox.delivery.actions.build import Builds
from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.session import Event, Session, current


class CodePipeline(Service):
    """Pipelines and executions."""

    def install(self) -> None:
        """Patch moto."""
        for module in (actions, answers, execution_calls, pipeline_calls, state):
            for call in module.CALLS:
                register(call)

    def start(self, session: Session) -> None:
        """Say of the executions that a killed process left that they failed."""
        executions.fail_interrupted()

    def deliver(self, event: Event) -> None:
        """Take the end of a build that an action waits for."""
        if event.source == "aws.codebuild":
            current().part(Builds).told(event.detail)

    def stop(self, session: Session) -> None:
        """End the executions."""
        pipelines.stop_all()


SERVICE = CodePipeline()
