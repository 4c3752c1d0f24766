"""Applying the organisation's foundation, and putting a commit where its pipelines take it from.

The foundation is the real Terraform. Its state and its working files are in the sandbox's folder; the
foundation's own stays as it is. Publishing a commit is what a push to Bitbucket leads to.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation import record
from mlops_workbench.sandbox.organisation.record import Organisation

#: In a single account production uses what shared services has made there.
ROOTS = ("shared-services", "production")
CLOUD_HOST = "bitbucket.org"
NOBODY = "00000000-0000-0000-0000-000000000000"
_PACKAGE = "package.py"
_SAID = re.compile(r"Apply complete!|No changes\.|Plan: ")
_DONE = re.compile(r"\S+: (Creation|Modifications|Destruction) complete")
#: A line for each of some sixty resources would hide the ones that matter.
_EVERY = 10
Say = Callable[[str], None]
#: The summary of a revision that CodePipeline takes has at most so many characters.
SUMMARY_CHARACTERS = 2048


def find(given: Path | None) -> Path | None:
    """Return the foundation's folder, or None if there is none.

    Raises:
        SandboxError: a folder is given that is none.
    """
    if given is not None:
        if not is_foundation(given):
            raise SandboxError(
                f"--foundation {given}: expected a folder with the Terraform roots {' and '.join(ROOTS)}"
            )
        return given.absolute()
    package = Path(__file__).resolve().parents[2]
    # in the wheel it is part of the package; in the collection it lies beside the workbench
    for folder in (package / "foundation", package.parents[2] / "foundation"):
        if is_foundation(folder):
            return folder
    return None


def is_foundation(folder: Path) -> bool:
    """Tell whether the roots are there."""
    return all(any((folder / root).glob("*.tf")) for root in ROOTS)


def parameters(organisation: Organisation) -> dict[str, Any] | None:
    """Return what the foundation has said about itself in Parameter Store; None before it is applied."""
    client = organisation.client("ssm")
    try:
        value = client.get_parameter(Name=f"/{organisation.prefix}/foundation")["Parameter"]["Value"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return None
        raise
    return dict(json.loads(value))


def apply(
    organisation: Organisation, foundation: Path, given: Sequence[tuple[str, str]] = (), say: Say = print
) -> None:
    """Apply both roots; what is there already stays.

    Args:
        organisation: to whose accounts.
        foundation: the folder with the roots.
        given: a person's own values of variables; a root gets those that it declares.
        say: takes each line of progress.

    Raises:
        SandboxError: Terraform is not there, or it failed; the message has the end of what it said.
    """
    if shutil.which("terraform") is None:
        raise SandboxError("terraform: not found on PATH; install it, or use --no-foundation")
    work = record.own_folder(Path(organisation.folder)) / "foundation"
    copy = work / "source"
    known = {name for root in ROOTS for name in declared(foundation / root)}
    if unknown := [name for name, _ in given if name not in known]:
        raise SandboxError(f"--var {unknown[0]}: expected one of {', '.join(sorted(known))}")
    _copy(foundation, copy)
    if (copy / _PACKAGE).is_file():
        _run([sys.executable, _PACKAGE], copy, {}, say, "packing the functions")
    # Two accounts know nothing of each other, and most of the time the provider waits for S3 and SQS.
    with ThreadPoolExecutor(max_workers=len(organisation.accounts)) as threads:
        list(threads.map(lambda root: _apply_root(organisation, root, copy, work, given, say), ROOTS))


def _apply_root(
    organisation: Organisation,
    root: str,
    copy: Path,
    work: Path,
    given: Sequence[tuple[str, str]],
    say: Say,
) -> None:
    account = organisation.production if root == "production" else organisation.shared_services
    environment = organisation.environment(account)
    environment |= {
        # Less of Go's collector: a third of the processor time, for some 60 MB of memory.
        "GOGC": os.environ.get("GOGC", "400"),
        "TF_DATA_DIR": str(work / root / "data"),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
    }
    state = work / root / "terraform.tfstate"
    state.parent.mkdir(parents=True, exist_ok=True)
    folder = copy / root
    # A root that keeps its state in S3 keeps it in this folder instead: the bucket is what it makes.
    (folder / "sandbox_override.tf").write_text(
        f'terraform {{\n  backend "local" {{\n    path = {json.dumps(str(state))}\n  }}\n}}\n', "utf-8"
    )
    names = declared(folder)
    values = {name: value for name, value in variables(organisation).items() if name in names}
    (folder / "sandbox.auto.tfvars.json").write_text(json.dumps(values, indent=1), "utf-8")
    own = [f"-var={name}={value}" for name, value in given if name in names]
    for command in (["init", "-reconfigure"], ["apply", "-auto-approve", *own]):
        words = ["terraform", command[0], "-no-color", *command[1:]]
        _run(words, folder, environment, say, f"{root}: {command[0]}")


def variables(organisation: Organisation) -> dict[str, Any]:
    """Return what the roots may want to know; each gets those that it declares."""
    address = urlsplit(organisation.bitbucket)
    common = {
        "prefix": organisation.prefix,
        "region": organisation.region,
        "shared_services_account_id": organisation.shared_services,
        "production_account_id": organisation.production,
    }
    if address.hostname != CLOUD_HOST:
        return common | {"bitbucket_hosting": "data-center", "bitbucket_url": organisation.bitbucket}
    return common | {
        "bitbucket_hosting": "cloud",
        # Nobody outside this machine signs in here, so ids that nobody has will do.
        "bitbucket_workspace": {"name": address.path.strip("/") or "workspace", "uuid": NOBODY},
        "bitbucket_repository_uuids": [NOBODY],
    }


def declared(root: Path) -> set[str]:
    """Return the names of the variables that a root declares."""
    text = "\n".join(path.read_text("utf-8") for path in sorted(root.glob("*.tf")))
    return set(re.findall(r'^variable\s+"([^"]+)"', text, re.MULTILINE))


def _copy(foundation: Path, copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(
        foundation,
        copy,
        ignore=shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfvars", "__pycache__"),
    )


def _run(command: list[str], folder: Path, environment: Mapping[str, str], say: Say, what: str) -> None:
    """Run a command, show where it is, and keep the end of its output for the error."""
    say(what)
    prefix = f"  {what.partition(':')[0]}: " if ":" in what else "  "
    last: deque[str] = deque(maxlen=25)
    done = 0
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**own, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last.append(line.rstrip())
            done += bool(_DONE.match(line))
            if _SAID.match(line):
                say(f"{prefix}{line.strip()}")
            elif _DONE.match(line) and done % _EVERY == 0:
                say(f"{prefix}{done} resources so far")
    if process.returncode:
        said = "\n  ".join(line for line in last if line)
        raise SandboxError(f"{what} failed with code {process.returncode}:\n  {said}")


@dataclass(frozen=True)
class Commit:
    """HEAD of a repository: ``name`` is the repository's in Bitbucket."""

    folder: Path
    name: str
    branch: str
    id: str
    subject: str
    changed: bool

    @property
    def key(self) -> str:
        """Where in the source bucket the commit belongs."""
        return f"{self.name}/{self.branch}.zip"


def head(folder: Path, name: str | None = None, branch: str | None = None) -> Commit:
    """Return the commit that a repository's working tree stands on.

    Raises:
        SandboxError: it is not a git repository, has no commit, or is on no branch.
    """
    top = Path(_git(folder, "rev-parse", "--show-toplevel"))
    try:
        id_, _, subject = _git(top, "log", "-1", "--format=%H %s").partition(" ")
    except SandboxError:
        raise SandboxError(f"{top}: there is no commit yet") from None
    found = branch or _git(top, "branch", "--show-current")
    if not found:
        raise SandboxError(f"{top}: HEAD is on no branch; name one with --branch")
    changed = bool(_git(top, "status", "--porcelain", "--untracked-files=no"))
    return Commit(top, name or repository_name(top), found, id_, subject, changed)


def repository_name(top: Path) -> str:
    """Return a repository's name in Bitbucket: as its configuration has it, else that of its folder."""
    return record.setting(record.read_settings(top), "bitbucket.repository", top.name)


def publish(organisation: Organisation, commit: Commit, say: Say = print) -> None:
    """Put a commit into the source bucket, with the repository's own command if it has one.

    Raises:
        SandboxError: the foundation is not applied, or the repository's command failed.
    """
    known = parameters(organisation)
    if known is None:
        raise SandboxError(
            f"no parameter /{organisation.prefix}/foundation in account {organisation.shared_services}: "
            "apply the foundation with `mlops-sandbox up --foundation FOLDER`"
        )
    bucket = known["source_bucket"]
    if commit.changed:
        say(f"notice: {commit.folder} has changes that commit {commit.id[:7]} does not have")
    python = commit.folder / ".venv-delivery/bin/python"
    if (commit.folder / "requirements/workbench.txt").is_file() and python.is_file():
        say(f"{python.parent.parent.name}: python -m mlops_workbench publish")
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        done = subprocess.run(
            [str(python), "-m", "mlops_workbench", "publish"],
            cwd=commit.folder,
            env={**own, **organisation.environment()},
            check=False,
        )
        if done.returncode:
            raise SandboxError(
                f"{commit.folder}: python -m mlops_workbench publish ended with {done.returncode}"
            )
        return
    body = io.BytesIO(_archive(commit))
    key = known.get("kms_key_arn")
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    summary = f"{commit.id[:7]} {commit.subject}"[:SUMMARY_CHARACTERS]
    organisation.client("s3").put_object(
        Bucket=bucket,
        Key=commit.key,
        Body=body,
        Metadata={
            "commit": commit.id,
            # Metadata is a header: US-ASCII.
            "codepipeline-artifact-revision-summary": summary.encode("ascii", "replace").decode(),
        },
        **encryption,
    )
    say(f"published {commit.id[:7]} of {commit.branch} as s3://{bucket}/{commit.key}")


def _archive(commit: Commit) -> bytes:
    done = subprocess.run(
        ["git", "archive", "--format=zip", commit.id], cwd=commit.folder, capture_output=True, check=False
    )
    if done.returncode:
        raise SandboxError(f"{commit.folder}: git archive: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def _git(folder: Path, *arguments: str) -> str:
    if not folder.is_dir():
        raise SandboxError(f"{folder}: no such folder")
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SandboxError(f"{folder}: git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
