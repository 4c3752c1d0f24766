"""How the tests call Terraform: which provider plug-ins it finds, and none of a person's own settings.

``MLOPS_TERRAFORM_PLUGINS`` names a folder that holds ``registry.terraform.io/…`` (a filesystem mirror), for
machines that cannot reach the public registry. Without it Terraform is left to TF_CLI_CONFIG_FILE,
TF_PLUGIN_CACHE_DIR, or the public registry.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

VARIABLE = "MLOPS_TERRAFORM_PLUGINS"


@cache
def cli_environment() -> dict[str, str]:
    """Environment variables for every call of Terraform; skips the test where Terraform is not installed."""
    if shutil.which("terraform") is None:
        pytest.skip("Terraform is not installed: https://developer.hashicorp.com/terraform/install")
    quiet = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    mirror = os.environ.get(VARIABLE)
    if mirror:
        folder = Path(tempfile.mkdtemp(prefix="terraform-"))
        config = folder / "terraform.tfrc"
        config.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        )
        return {**quiet, "TF_CLI_CONFIG_FILE": str(config)}
    own = os.environ.get("TF_CLI_CONFIG_FILE")
    return quiet if own is None or Path(own).is_file() else {**quiet, "TF_CLI_CONFIG_FILE": os.devnull}


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
