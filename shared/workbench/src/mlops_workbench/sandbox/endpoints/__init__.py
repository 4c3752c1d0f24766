"""Serverless endpoints: real instances behind CreateEndpoint, UpdateEndpoint and InvokeEndpoint.

``aws.sagemaker.endpoints`` keeps what the calls describe; ``changes`` carries out what they ask for;
``invocations`` serves requests through ``fleet``, which has a ``pool`` of ``instance`` processes for each
endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_workbench.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from mlops_workbench.sandbox.endpoints.fleet import Fleet
    from mlops_workbench.sandbox.server import Sandbox

__all__ = ["current", "start", "stop"]

_fleet: Fleet | None = None


def start(sandbox: Sandbox) -> None:
    """Begin with an open sandbox: go on with what an earlier one was doing when it was closed.

    Raises:
        SandboxError: a variable of the environment that sets limits cannot be read.
    """
    # Imported here: they need the installed patches.
    from mlops_workbench.sandbox.endpoints import changes, deployment
    from mlops_workbench.sandbox.endpoints.fleet import Fleet

    global _fleet
    try:
        deployment.workers(), deployment.idle_seconds()
    except ValueError as error:
        raise SandboxError(str(error)) from None
    _fleet = Fleet(sandbox)
    changes.resume()


def stop() -> None:
    """End every instance; what was being created or updated goes on when the sandbox is opened again."""
    global _fleet
    if _fleet:
        _fleet.stop()
        _fleet = None


def current() -> Fleet:
    """Return what serves the open sandbox's endpoints.

    Raises:
        RuntimeError: no sandbox is open.
    """
    if _fleet is None:
        raise RuntimeError("no sandbox is open in this process")
    return _fleet
