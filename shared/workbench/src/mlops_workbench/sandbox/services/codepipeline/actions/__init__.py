"""What an action does, one module for each provider.

Each has ``run(action: Action) -> None``, which raises ActionFailed when the action fails.
"""

from __future__ import annotations

from collections.abc import Callable

from mlops_workbench.sandbox.services.codepipeline.actions import answered, build, s3
from mlops_workbench.sandbox.services.codepipeline.actions.action import Action

_RUNNERS: dict[tuple[str, str], Callable[[Action], None]] = {
    ("Source", "S3"): s3.source,
    ("Build", "CodeBuild"): build.run,
    ("Test", "CodeBuild"): build.run,
    ("Approval", "Manual"): answered.approval,
    ("Invoke", "Lambda"): answered.function,
    ("Deploy", "S3"): s3.deploy,
}


def run(action: Action) -> None:
    """Run an action to its end.

    Raises:
        ActionFailed: it failed; anything else that is raised is the sandbox's fault.
    """
    kind = action.run.type_id
    _RUNNERS[kind["category"], kind["provider"]](action)
