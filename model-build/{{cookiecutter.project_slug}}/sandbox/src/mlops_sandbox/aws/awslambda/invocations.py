"""Invoke: moto runs functions in Docker; here they are processes."""

from __future__ import annotations

import json
from typing import Any

from moto.awslambda.models import LambdaFunction


def install() -> None:
    """Replace the method that runs a function."""

    def _invoke_lambda(self: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
        # Imported here: both need the installed patches.
        from mlops_sandbox.jobs.lambdas import invoke
        from mlops_sandbox.server import current

        sandbox = current()
        lines: list[str] = []
        payload = json.loads(event) if isinstance(event, str) else event or {}
        environment = sandbox.environment(self.account_id, self.region)
        invocation = invoke(self, payload, sandbox.images, environment, lines.append)
        logs = "\n".join(lines)
        self.logs_backend.ensure_log_group(self.logs_group_name)
        self.save_logs(logs)
        failed = invocation.error is not None
        return json.dumps(invocation.error if failed else invocation.payload), failed, logs

    LambdaFunction._invoke_lambda = _invoke_lambda  # type: ignore[method-assign]
