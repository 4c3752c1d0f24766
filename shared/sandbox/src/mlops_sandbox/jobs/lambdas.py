"""Being written."""

from __future__ import annotations

from typing import Any

from mlops_sandbox.jobs.context import JobContext


def run_lambda(function_arn: str, payload: Any, context: JobContext) -> dict[str, Any]:
    """Run a Lambda function."""
    raise NotImplementedError
