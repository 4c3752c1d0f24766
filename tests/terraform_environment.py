"""How the tests call Terraform: which provider plug-ins it finds, and none of a person's own settings."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import terraform_plugins


@cache
def cli_environment() -> dict[str, str]:
    """Environment variables for every call of Terraform; skips the test where Terraform is not installed."""
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not installed: https://developer.hashicorp.com/terraform/install")
    folder = tempfile.mkdtemp(prefix="terraform-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return terraform_plugins.environment(Path(folder), os.environ)


def terraform(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """Run Terraform and return what it printed; anything but success fails the test with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    done = subprocess.run(
        ["terraform", *arguments, "-no-color"],
        cwd=folder,
        env={**kept, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"terraform {' '.join(arguments)} in {folder.name}:\n{done.stdout[-6000:]}"
    return done.stdout
