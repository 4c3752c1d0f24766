"""`make check-terraform`: is every Terraform root formatted, valid, without unexplained findings of checkov?

Nothing is written beside the sources: each root is checked in a copy. An exception from a check of checkov
stands in the Terraform, in the resource it is for, with its reason: `#checkov:skip=CKV_AWS_18:why`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cookiecutter.main import cookiecutter

COLLECTION = Path(__file__).resolve().parents[1]
PROJECT = "{{cookiecutter.project_slug}}"
#: A person's folder with registry.terraform.io/… in it, where the public registry is out of reach.
PLUGINS = "MLOPS_TERRAFORM_PLUGINS"
SKIP = re.compile(r"checkov:skip=\w+(?P<reason>:\s*\S.*)?")


def roots() -> list[Path]:
    """The folders that `terraform apply` is run in, relative to the collection."""
    found = [path.parent for path in (COLLECTION / "shared/foundation").glob("*/versions.tf")]
    found += [path.parent for path in COLLECTION.glob(f"*/{PROJECT}/terraform/*/versions.tf")]
    return sorted(path.relative_to(COLLECTION) for path in found if path.parent.name != "modules")


def main() -> int:
    """The exit status: 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkov", type=Path, help="checkov's command; left out, checkov is not run")
    options = parser.parse_args()
    if shutil.which("terraform") is None:
        print("Terraform is needed: https://developer.hashicorp.com/terraform/install", file=sys.stderr)
        return 1
    wrong = 0
    for reasonless in skips_without_reason():
        print(f"{reasonless}: a skipped check needs its reason: #checkov:skip=ID:reason")
        wrong += 1
    with tempfile.TemporaryDirectory(prefix="terraform-checks-") as name:
        copy = Path(name) / "collection"
        environment = {**os.environ, **terraform_environment(Path(name))}
        for top in sorted({Path(*root.parts[:-1]) for root in roots()}):
            target = copy / top
            shutil.copytree(
                COLLECTION / top, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*")
            )
            wrong += run(["terraform", "fmt", "-check", "-diff", "-recursive"], target, environment)
            if PROJECT in top.parts:
                add_configuration(top.parts[0], copy)
        for root in roots():
            target = copy / root
            invalid = run(
                ["terraform", "init", "-backend=false", "-input=false"], target, environment, quiet=True
            )
            invalid += run(["terraform", "validate", "-no-color"], target, environment, quiet=True)
            print(f"{root.as_posix()}: {'see above' if invalid else 'valid'}")
            wrong += invalid
            if options.checkov:
                wrong += run(checkov(options.checkov, target), copy, environment, quiet=True)
    return 1 if wrong else 0


def add_configuration(template: str, copy: Path) -> None:
    """Put config/*.yaml where a template's Terraform reads it, as default answers give it."""
    with tempfile.TemporaryDirectory() as folder:
        generated = cookiecutter(
            str(COLLECTION),
            directory=template,
            output_dir=folder,
            no_input=True,
            default_config=True,
        )
        shutil.copytree(Path(generated, "config"), copy / template / PROJECT / "config")


def terraform_environment(folder: Path) -> dict[str, str]:
    """Where Terraform finds plug-ins, beside a person's own settings; they are kept once for all roots."""
    environment = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
    if mirror := os.environ.get(PLUGINS):
        config = folder / "terraform.tfrc"
        config.write_text(
            f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        )
        environment["TF_CLI_CONFIG_FILE"] = str(config)
    elif "TF_PLUGIN_CACHE_DIR" not in os.environ:
        cache = folder / "plugins"
        cache.mkdir()
        environment["TF_PLUGIN_CACHE_DIR"] = str(cache)
    return environment


def checkov(command: Path, folder: Path) -> list[str]:
    """Checkov on one root and the modules that it calls; it asks nobody outside this machine."""
    options = ["--framework", "terraform", "--skip-download", "--download-external-modules", "false"]
    return [str(command.absolute()), "--directory", str(folder), *options, "--compact", "--quiet"]


def skips_without_reason() -> Iterator[str]:
    """Places where a check is skipped and nobody says why."""
    for folder in {COLLECTION / Path(*root.parts[:-1]) for root in roots()}:
        for path in sorted(folder.rglob("*.tf")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                found = SKIP.search(line)
                if found and not found["reason"]:
                    yield f"{path.relative_to(COLLECTION).as_posix()}:{number}"


def run(command: list[str], folder: Path, environment: dict[str, str], quiet: bool = False) -> int:
    """Run a command; 1 when it fails, and then what it printed, or always when not `quiet`."""
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    if done.returncode or (not quiet and done.stdout):
        print(f"{' '.join(command[:2])} in {folder.name}:\n{done.stdout}{done.stderr}")
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
