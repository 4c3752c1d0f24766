"""Bucket policies for anonymous requests.

moto 5.2.5 evaluates a bucket's policy by action and resource only: a Deny under a condition (TLS only, one
encryption key only) denies everything. Signed requests are decided on before they reach moto.
"""

from __future__ import annotations

from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from mlops_workbench.sandbox.access import guard
from mlops_workbench.sandbox.access.documents import parse
from mlops_workbench.sandbox.access.evaluator import Principal, Request, evaluate
from mlops_workbench.sandbox.access.patterns import context_of
from mlops_workbench.sandbox.errors import PolicyError


def install() -> None:
    """Replace the method that S3's calls ask."""

    def get_permission(self: FakeBucket, action: str, resource: str) -> Any:
        if guard.signed():
            return PermissionResult.PERMITTED
        if self.policy is None:
            return PermissionResult.NEUTRAL
        context = context_of({"aws:SecureTransport": True, "aws:SourceIp": "127.0.0.1"})
        # A nobody, who is of no account, so that only "*" names it.
        request = Request(Principal("anonymous"), action, resource, context, delegated=True)
        try:
            decision = evaluate(request, [], None, [parse(self.policy.decode())])
        except PolicyError:
            return PermissionResult.DENIED
        if decision.allowed:
            return PermissionResult.PERMITTED
        return PermissionResult.DENIED if "explicit deny" in decision.reason else PermissionResult.NEUTRAL

    FakeBucket.get_permission = get_permission  # type: ignore[method-assign]
