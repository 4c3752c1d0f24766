"""Where Terraform finds its AWS provider: in one place for all roots of this machine, as it has some 700 MB.

`terraform init` unpacks what it fetches in every root, and only links to what lies unpacked in a mirror.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: A person's folder with registry.terraform.io/… in it, where the public registry is out of reach.
VARIABLE = "MLOPS_TERRAFORM_PLUGINS"
#: Fetched where nobody has said anything; `make demo` keeps its plug-ins there too.
FETCHED = Path(__file__).resolve().parents[1] / "build/terraform-plugins"
_PLACE = "registry.terraform.io/hashicorp/aws/*/*"  # version, platform
_OWN = ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR")
_SETTINGS = """provider_installation {{
{overrides}  filesystem_mirror {{
    path = "{mirror}"
  }}
}}
"""
# Terraform reads all 700 MB before each command, to compare their sum with the lock file, unless the provider
# is one that a developer has built: half a second of each. Here it is the mirror's all the same.
_OVERRIDES = """  dev_overrides {{
    "hashicorp/aws" = "{folder}"
  }}
"""
#: Terraform and its provider live for seconds: they use memory, up to a limit, instead of collecting garbage.
_MEMORY = {"GOGC": "off", "GOMEMLIMIT": "1GiB"}
# the version that terraform/endpoint and terraform/batch want exactly
_WANTED = """terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}
"""


def environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for every call of Terraform, which may write a file into a folder.

    Args:
        folder: for Terraform's settings.
        variables: what a person has said: a mirror, or a cache or settings of their own, which are kept.

    Raises:
        RuntimeError: nothing is said, and the provider cannot be fetched; with what Terraform said.
    """
    quiet = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1", **_MEMORY}
    mirror = variables.get(VARIABLE)
    if not mirror:
        settings = Path(variables.get("TF_CLI_CONFIG_FILE") or "~/.terraformrc").expanduser()
        if settings.is_file() or "TF_PLUGIN_CACHE_DIR" in variables:
            return quiet | {name: variables[name] for name in _OWN if name in variables}
        mirror = str(fetch(variables))
    config = folder / "terraform.tfrc"
    unpacked = list(Path(mirror).glob(_PLACE))
    overrides = _OVERRIDES.format(folder=unpacked[0]) if len(unpacked) == 1 else ""  # else init chooses
    config.write_text(_SETTINGS.format(overrides=overrides, mirror=mirror), "utf-8")
    return quiet | {"TF_CLI_CONFIG_FILE": str(config)}


def fetch(variables: Mapping[str, str], into: Path = FETCHED) -> Path:
    """The folder with the provider, fetched from the registry if it is not there.

    Raises:
        RuntimeError: it cannot be fetched; with what Terraform said.
    """
    if any(into.glob(_PLACE)):
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as name:
        root, plugins = Path(name, "root"), Path(name, "plugins")
        root.mkdir()
        plugins.mkdir()
        (root / "main.tf").write_text(_WANTED, "utf-8")
        own = {
            name: value
            for name, value in variables.items()
            if name != "TF_CLI_CONFIG_FILE" or Path(value).is_file()
        }
        done = subprocess.run(
            ["terraform", "init", "-no-color"],
            cwd=root,
            env={**own, "TF_PLUGIN_CACHE_DIR": str(plugins)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"Terraform could not fetch its AWS provider (is there a mirror? {VARIABLE}):\n{done.stderr}"
            )
        try:
            plugins.rename(into)
        except OSError:  # another process, or an empty folder
            if not any(into.glob(_PLACE)):
                raise
    return into
