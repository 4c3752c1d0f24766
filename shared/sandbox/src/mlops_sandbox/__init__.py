"""Two AWS accounts on one machine: a rehearsal of what SageMaker will do, on loopback only."""

from mlops_sandbox.server import Sandbox, SandboxError

__all__ = ["Sandbox", "SandboxError"]
__version__ = "0.1.0"
