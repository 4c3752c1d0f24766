"""What an action does, one module for each provider.

Each has ``run(action: Action) -> None``, which raises ActionFailed when the action fails.
"""

from __future__ import annotations

from collections.abc import Callable

from mlops_workbench.sandbox.delivery.actions import approval, build, deploy_s3, function, source_s3
from mlops_workbench.sandbox.delivery.actions.action import Action

_RUNNERS: dict[tuple[str, str], Callable[[Action], None]] = {
    ("Source", "S3"): source_s3.run,
    ("Build", "CodeBuild"): build.run,
    ("Test", "CodeBuild"): build.run,
    ("Approval", "Manual"): approval.run,
    ("Invoke", "Lambda"): function.run,
    ("Deploy", "S3"): deploy_s3.run,
}


def run(action: Action) -> None:
    """Run an action to its end.

    Raises:
        ActionFailed: it failed; anything else that is raised is the sandbox's fault.
    """
    kind = action.run.type_id
    _RUNNERS[kind["category"], kind["provider"]](action)
