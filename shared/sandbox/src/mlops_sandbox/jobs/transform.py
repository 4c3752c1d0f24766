"""Being written."""

from __future__ import annotations

from typing import Any

from mlops_sandbox.jobs.context import JobContext


def run_transform(request: dict[str, Any], context: JobContext) -> dict[str, Any]:
    """Run a transform job."""
    raise NotImplementedError
