"""IAM: who may do what.

``sessions.role_environment`` gives a service the keys of a role. With ``Sandbox(enforce_iam=True)`` a request
signed with a role's keys may do only what the role's policies allow; without it, every principal counts as an
administrator of its own account, and only policies of resources (buckets, keys, roles' trust) are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_workbench.sandbox.access.errors import AccessDenied, PolicyError
from mlops_workbench.sandbox.access.sessions import forget, role_environment

if TYPE_CHECKING:
    from mlops_workbench.sandbox.server import Sandbox

__all__ = ["AccessDenied", "PolicyError", "role_environment", "start", "stop"]


def start(sandbox: Sandbox) -> None:
    """Begin with an open sandbox: without the sessions of an earlier one."""
    forget()


def stop() -> None:
    """Forget the sessions."""
    forget()
