"""AWS CodePipeline: pipelines as they were given, and executions that run."""

from mlops_workbench.sandbox.aws.codepipeline import actions, answers, executions, pipelines, state
from mlops_workbench.sandbox.aws.codepipeline.requests import register


def install() -> None:
    """Patch moto."""
    for module in (actions, answers, executions, pipelines, state):
        for call in module.CALLS:
            register(call)
