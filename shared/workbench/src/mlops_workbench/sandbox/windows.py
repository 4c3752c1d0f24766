"""The sandbox does not run on Windows itself, and says so before anything fails half-way."""

from __future__ import annotations

import sys

from mlops_workbench.sandbox.errors import SandboxError

NOT_HERE = (
    "the sandbox runs containers' jobs as processes of Linux or macOS, and this is Windows: open WSL "
    "(https://learn.microsoft.com/windows/wsl/install) and type the same command there"
)


def refuse() -> None:
    """Do nothing where the sandbox can run.

    Raises:
        SandboxError: this is Windows.
    """
    if sys.platform == "win32":
        raise SandboxError(NOT_HERE)
