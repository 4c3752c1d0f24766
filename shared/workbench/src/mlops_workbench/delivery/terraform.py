"""Terraform: its progress goes to the terminal, all that it says into a file.

A plan of sixty resources is thousands of lines: what a person has to see of it is how many things change,
and what would be destroyed.
"""

import json
import os
import re
import subprocess
from collections import deque
from pathlib import Path

from configuration import UserError

from .git import first_line
from .project import Project

OLDEST = (1, 10)  # use_lockfile
PLAN_FILE = "delivery.tfplan"  # .gitignore names *.tfplan
CHANGES = 2  # the exit status of `plan -detailed-exitcode` when there is something to do
LOG = ".terraform/delivery.log"  # in the root's folder; .gitignore names .terraform
QUICKER = {"GOGC": "400"}  # less of Go's collector: a third of the processor time, for some 60 MB of memory
LAST_LINES = 40  # of a failure's words, on the terminal
SHOWN = re.compile(
    r"Plan: |No changes\.|(Apply|Destroy) complete!"
    r"|\S+: (Creation|Modifications|Destruction) complete"
    r"|\S+: Still \w+\.\.\. .*?(?:\d+m)?\b(?:0|30)s elapsed"
    r"|# .* (will be destroyed|must be replaced|will be replaced.*)$"
)


def version() -> str:
    """The version of the Terraform on this machine.

    Raises:
        UserError: there is none, or it is too old for a state lock in S3.
    """
    wanted = ".".join(map(str, OLDEST))
    try:
        done = subprocess.run(
            ["terraform", "version", "-json"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            env=_environment(None),
        )
        found = str(json.loads(done.stdout[done.stdout.index("{") :])["terraform_version"])
    except FileNotFoundError:
        raise UserError(
            f"Terraform {wanted} or newer is not installed: https://developer.hashicorp.com/terraform/install"
        ) from None
    except (subprocess.SubprocessError, ValueError, KeyError) as error:
        raise UserError(f"terraform version: {first_line(str(error))}") from error
    numbers = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if numbers < OLDEST:
        raise UserError(f"Terraform: expected {wanted} or newer, got {found}")
    return found


def initialise(project: Project, state_bucket: str) -> None:
    """`terraform init` with the state of this repository."""
    settings = {
        "bucket": state_bucket,
        "key": project.state_key,
        "region": project.region,
        "use_lockfile": "true",
    }
    backend = [f"-backend-config={key}={value}" for key, value in settings.items()]
    log(project).unlink(missing_ok=True)
    # -reconfigure: a folder that was used with another state before does not move that one here
    _run(project, "init", "-input=false", "-reconfigure", *backend)


def change(project: Project, *, destroy: bool = False) -> bool:
    """Plans and applies exactly that plan; whether there was anything to do."""
    plan = project.terraform_folder / PLAN_FILE
    purpose = ["-destroy"] if destroy else []
    try:
        status = _run(
            project,
            "plan",
            "-input=false",
            "-detailed-exitcode",
            f"-out={PLAN_FILE}",
            *purpose,
            accepted=(0, CHANGES),
        )
        if status == CHANGES:
            _run(project, "apply", "-input=false", PLAN_FILE)
        return status == CHANGES
    finally:
        plan.unlink(missing_ok=True)


def log(project: Project) -> Path:
    """The file with all that Terraform has said since it was last initialised."""
    return project.terraform_folder / LOG


def _run(project: Project, *arguments: str, accepted: tuple[int, ...] = (0,)) -> int:
    folder: Path = project.terraform_folder
    if not folder.is_dir():
        raise UserError(
            f"{folder.relative_to(project.root)}: expected this repository's Terraform, found nothing"
        )
    words = ["terraform", arguments[0], "-no-color", *arguments[1:]]
    last: deque[str] = deque(maxlen=LAST_LINES)
    log(project).parent.mkdir(exist_ok=True)
    try:
        with (
            log(project).open("a", encoding="utf-8", newline="\n") as kept,
            subprocess.Popen(
                words,
                cwd=folder,
                env=_environment(project),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            ) as running,
        ):
            assert running.stdout is not None
            for line in running.stdout:
                kept.write(line)
                last.append(line.rstrip())
                if SHOWN.match(line.strip()):
                    print(f"     {line.strip()}", flush=True)
    except FileNotFoundError:
        raise UserError("Terraform is not installed") from None
    if running.returncode not in accepted:
        raise UserError(
            "\n  ".join(
                [
                    f"terraform {arguments[0]} failed (exit status {running.returncode}):",
                    *_complaint(list(last), folder.relative_to(project.root)),
                    f"All that it said: {log(project).relative_to(project.root).as_posix()}",
                ]
            )
        )
    return int(running.returncode)


def _complaint(lines: list[str], folder: Path) -> list[str]:
    """What Terraform says went wrong, without its frame; the end of its words where it does not say."""
    bare = [line.lstrip("│╷╵ ").rstrip() for line in lines]
    text = "\n".join(bare)
    lock = re.search(r"^ID: +(\S+)$", text, re.MULTILINE)
    if "Error acquiring the state lock" in text and lock:
        who = re.search(r"^Who: +(.+)$", text, re.MULTILINE)
        by = f" by {who[1]}" if who else ""
        return [
            f"the state is locked{by}: somebody applies this now, or was cut off.",
            "When you are sure that nobody is applying: "
            f"terraform -chdir={folder.as_posix()} force-unlock {lock[1]}",
        ]
    begins = next((number for number, line in enumerate(bare) if line.startswith("Error")), 0)
    return [line for line in bare[begins:] if line]


def _environment(project: Project | None) -> dict[str, str]:
    """This process's variables, without Bitbucket's token, which is none of Terraform's business."""
    kept = {key: value for key, value in os.environ.items() if key != "BITBUCKET_TOKEN"}
    region = {"AWS_REGION": project.region} if project else {}
    return {**QUICKER, **kept, **region, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
