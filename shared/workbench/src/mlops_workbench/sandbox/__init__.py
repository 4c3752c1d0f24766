"""AWS accounts on one machine: a rehearsal of what SageMaker will do, on loopback only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_workbench.sandbox.errors import SandboxError
    from mlops_workbench.sandbox.server import Sandbox

__all__ = ["Sandbox", "SandboxError"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): moto takes most of a second; following a run on AWS needs none of it."""
    if name == "Sandbox":
        from mlops_workbench.sandbox.server import Sandbox

        return Sandbox
    if name == "SandboxError":
        from mlops_workbench.sandbox.errors import SandboxError

        return SandboxError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
