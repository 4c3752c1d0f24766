"""Putting a commit where a delivery pipeline takes it from: what a push to Bitbucket leads to."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.organisation import foundation, settings
from mlops_workbench.sandbox.organisation.record import Organisation

#: The summary of a revision that CodePipeline takes has at most so many characters.
SUMMARY_CHARACTERS = 2048
Say = Callable[[str], None]


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
    return settings.value(settings.read(top), "bitbucket.repository", top.name)


def publish(organisation: Organisation, commit: Commit, say: Say = print) -> None:
    """Put a commit into the source bucket, with the repository's own command if it has one.

    Raises:
        SandboxError: the foundation is not applied, or the repository's command failed.
    """
    known = foundation.parameters(organisation)
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
