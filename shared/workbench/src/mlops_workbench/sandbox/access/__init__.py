"""IAM: who may do what.

``sessions.role_environment`` gives a service the keys of a role. With ``Sandbox(enforce_iam=True)`` a request
signed with a role's keys may do only what the role's policies allow; without it, every principal counts as an
administrator of its own account, and only policies of resources (buckets, keys, roles' trust) are looked at.
"""

from __future__ import annotations

from mlops_workbench.sandbox.access.sessions import role_environment
from mlops_workbench.sandbox.errors import AccessDenied, PolicyError

__all__ = ["AccessDenied", "PolicyError", "role_environment"]
