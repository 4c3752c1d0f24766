"""What the demo needs of this machine, and what it gives its commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

OLDEST_TERRAFORM = (1, 10)
PLUGINS = "MLOPS_TERRAFORM_PLUGINS"
CONFIG, CACHE = "terraform.tfrc", "terraform-plugins"
_PROGRAMS = {
    "bash": "https://www.gnu.org/software/bash",
    "git": "https://git-scm.com/downloads",
    "perl": "https://www.perl.org/get.html",
    "terraform": "https://developer.hashicorp.com/terraform/install",
}


def problems(collection: Path) -> list[str]:
    """Return what is missing here, a line each with what to do about it."""
    if os.name == "nt":
        return ["Windows: the sandbox's jobs need Linux; open this folder in WSL and run make demo there"]
    found = [
        f"{name}: not found on PATH: {where}" for name, where in _PROGRAMS.items() if not shutil.which(name)
    ]
    if shutil.which("terraform") and (version := _terraform()) < OLDEST_TERRAFORM:
        wanted, got = (".".join(map(str, each)) for each in (OLDEST_TERRAFORM, version))
        found.append(f"terraform: expected {wanted} or newer, got {got}: {_PROGRAMS['terraform']}")
    for name in (".venv", ".venv-container"):
        if not (collection / name / "bin/python").exists():
            found.append(f"{name}: no such Python environment: make setup")
    return found


def _terraform() -> tuple[int, ...]:
    shown = subprocess.run(["terraform", "version"], capture_output=True, text=True, check=False).stdout
    numbers = re.search(r"v(\d+)\.(\d+)", shown)
    return tuple(map(int, numbers.groups())) if numbers else (0, 0)


def environment(own: Path, variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of the commands: this person's, without what would change the story.

    Args:
        own: a folder for settings; they are written.
        variables: those of this process.
    """
    own.mkdir(parents=True, exist_ok=True)
    # Credentials and profiles are for this person's own accounts, and Python's for this process.
    kept = {
        name: value
        for name, value in variables.items()
        if not name.startswith(("AWS_", "MLOPS_SANDBOX", "PYTHON", "VIRTUAL_ENV", "BITBUCKET_"))
    }
    settings = own / "cookiecutter.yaml"  # a person's own defaults would be other answers
    settings.write_text(f'cookiecutters_dir: "{own}/cookiecutters"\nreplay_dir: "{own}/replay"\n', "utf-8")
    kept["COOKIECUTTER_CONFIG"] = str(settings)
    kept["PYTHONUNBUFFERED"] = "1"
    kept |= _terraform_settings(own, kept)
    return kept | _git_identity()


def _terraform_settings(own: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return where Terraform gets its plug-ins, unless this person has said so: once, not for each root."""
    quiet = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    mirror = variables.get(PLUGINS)
    theirs = Path(variables.get("TF_CLI_CONFIG_FILE") or "~/.terraformrc").expanduser().is_file()
    if mirror is None and (theirs or "TF_PLUGIN_CACHE_DIR" in variables):
        return quiet
    config = own / CONFIG
    if mirror is not None:
        text = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    else:
        cache = own.parent / CACHE
        cache.mkdir(parents=True, exist_ok=True)
        # The roots have no lock file yet, and without one a cached plug-in would not be taken.
        text = f'plugin_cache_dir = "{cache}"\nplugin_cache_may_break_dependency_lock_file = true\n'
    config.write_text(text, "utf-8")
    return quiet | {"TF_CLI_CONFIG_FILE": str(config)}


def fill_plugin_cache(foundation: Path, own: Path, variables: Mapping[str, str]) -> None:
    """Let Terraform fetch its plug-ins once, before several of it do so at the same time.

    Terraform's cache is not made for that, and the provider has some hundred megabytes.
    """
    if variables.get("TF_CLI_CONFIG_FILE") != str(own / CONFIG) or variables.get(PLUGINS):
        return
    if any((own.parent / CACHE).rglob("terraform-provider-*")):
        return
    print("fetching Terraform's AWS provider, once", flush=True)
    folder = own / "provider"
    folder.mkdir(parents=True, exist_ok=True)
    root = (foundation / "production/main.tf").read_text("utf-8")
    wanted = re.search(r"^terraform \{.*?^\}$", root, re.MULTILINE | re.DOTALL)
    assert wanted is not None
    (folder / "versions.tf").write_text(wanted[0], "utf-8")
    done = subprocess.run(
        ["terraform", f"-chdir={folder}", "init", "-backend=false"], env=dict(variables), check=False
    )
    if done.returncode:
        sys.exit("Terraform could not fetch its provider; what it says is above")


def _git_identity() -> dict[str, str]:
    """Return a name for commits where git knows none."""
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, check=False).returncode == 0
    if known:
        return {}
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Demo"), ("EMAIL", "demo@example.org"))
    }
