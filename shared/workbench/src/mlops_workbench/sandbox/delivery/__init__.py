"""CodeBuild and CodePipeline: buildspecs that run, and pipelines that carry a commit through their stages.

``buildspec`` to ``builds`` are CodeBuild; ``structure`` to ``executions`` and ``actions`` are CodePipeline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_workbench.sandbox.server import Sandbox


def start(sandbox: Sandbox) -> None:
    """Begin with an open sandbox: what an earlier process left running is over."""
    # Imported here: both need the server, which imports this package.
    from mlops_workbench.sandbox.delivery import build_records, executions, pipelines

    pipelines.reset()
    build_records.fail_interrupted()
    executions.fail_interrupted()


def stop() -> None:
    """End what runs, and wait for it."""
    from mlops_workbench.sandbox.delivery import builds, pipelines

    pipelines.stop_all()
    builds.stop_all()
