"""`make check-terraform`: is every Terraform root formatted, valid, without unexplained findings of checkov?

Nothing is written beside the sources: the foundation is checked in a copy, a template in a repository that is
generated from it. An exception from a check of checkov stands in the Terraform, in the resource it is for,
with its reason: `#checkov:skip=CKV_AWS_18:why`.
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

import terraform_plugins
from generated import repository

COLLECTION = Path(__file__).resolve().parents[1]
FOUNDATION = COLLECTION / "shared/foundation"
PROJECT = "{{cookiecutter.project_slug}}"
SKIP = re.compile(r"checkov:skip=\w+(?P<reason>:\s*\S.*)?")


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
        environment = {**os.environ, **terraform_plugins.environment(Path(name), os.environ)}
        for what, folder in folders(Path(name)):
            wrong += run(["terraform", "fmt", "-check", "-diff", "-recursive"], folder, environment)
            for root in roots(folder):
                invalid = run(
                    ["terraform", "init", "-backend=false", "-input=false"], root, environment, quiet=True
                )
                invalid += run(["terraform", "validate", "-no-color"], root, environment, quiet=True)
                print(f"{what}/{root.name}: {'see above' if invalid else 'valid'}")
                wrong += invalid
                if options.checkov:
                    wrong += run(checkov(options.checkov, root), folder, environment, quiet=True)
    return 1 if wrong else 0


def folders(below: Path) -> Iterator[tuple[str, Path]]:
    """What is checked, as a repository of its own has it: a name, and the folder with roots and modules."""
    copy = below / "foundation"
    unwanted = shutil.ignore_patterns("build", "__pycache__", ".terraform*", "*.tfstate*", "*.tfvars")
    yield "foundation", Path(shutil.copytree(FOUNDATION, copy, ignore=unwanted))
    for project in sorted(COLLECTION.glob(f"*/{PROJECT}/terraform")):
        template = project.relative_to(COLLECTION).parts[0]
        yield template, repository(template) / "terraform"


def roots(folder: Path) -> list[Path]:
    """The folders that `terraform apply` is run in: those with Terraform that are no modules."""
    return sorted({path.parent for path in folder.glob("*/*.tf")})


def checkov(command: Path, folder: Path) -> list[str]:
    """Checkov on one root and the modules that it calls; it asks nobody outside this machine."""
    options = ["--framework", "terraform", "--skip-download", "--download-external-modules", "false"]
    return [str(command.absolute()), "--directory", str(folder), *options, "--compact", "--quiet"]


def skips_without_reason() -> Iterator[str]:
    """Places where a check is skipped and nobody says why."""
    for folder in (COLLECTION / "shared", *COLLECTION.glob(f"*/{PROJECT}/terraform")):
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
