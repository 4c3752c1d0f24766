"""Sends a commit to the source bucket, as the bridge does for Bitbucket: for any CI server, and by hand."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError

from . import git
from .aws import code, plain_errors
from .project import Project

LONGEST_SUMMARY = 200  # characters; CodePipeline shows it beside the execution


class Source(NamedTuple):
    """What is published: a commit, as a branch."""

    commit: str
    subject: str
    branch: str


def choose(root: Path, branch: str | None, allow_dirty: bool) -> Source:
    """The head of the branch that is checked out, or of the one that is named.

    A CI server checks out a commit without a branch: then that commit is what `branch` names.

    Raises:
        UserError: there is no commit, no name for the branch, or work that is in no commit.
    """
    state = git.state(root)
    if state.commit is None:
        raise UserError(f"{root}: expected a git repository with a commit, found none: git init, git commit")
    name = branch or state.branch
    if name is None:
        raise UserError("No branch is checked out: say which one this commit is, with --branch NAME")
    if state.branch is not None and name != state.branch:
        commit = git.ask(root, "rev-parse", "--verify", "--quiet", f"refs/heads/{name}")
        if commit is None:
            raise UserError(f"--branch {name}: there is no such branch here")
        return Source(commit, git.run(root, "log", "-1", "--format=%s", commit), name)
    if state.dirty and not allow_dirty:
        raise UserError(
            "There are changes that are in no commit (git status), and only commits are published. "
            "Commit them, or leave them out with --allow-dirty"
        )
    return Source(state.commit, state.subject, name)


def published_commit(s3: Any, project: Project, branch: str) -> str | None:
    """The commit that the branch is published as; None when it is not, or when nobody may say.

    Raises:
        UserError: S3 does not answer, or there is no such bucket.
    """
    with plain_errors(f"s3://{project.source_bucket}/{project.source_key(branch)}"):
        try:
            found = s3.head_object(Bucket=project.source_bucket, Key=project.source_key(branch))
        except ClientError as error:
            # a role that may only put objects is told 403 about one that is not there
            if code(error) in ("404", "NoSuchKey", "NotFound", "403", "AccessDenied"):
                return None
            raise
    commit: str | None = found["Metadata"].get("commit")
    return commit


def send(s3: Any, project: Project, source: Source) -> None:
    """Uploads `git archive` of the commit; the bucket encrypts it with its own key."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "source.zip")
        git.run(project.root, "archive", "--format=zip", f"--output={archive}", source.commit)
        with plain_errors(f"s3://{project.source_bucket}"), archive.open("rb") as body:
            s3.put_object(
                Bucket=project.source_bucket,
                Key=project.source_key(source.branch),
                Body=body,
                ContentType="application/zip",
                Metadata={
                    "commit": source.commit,
                    "codepipeline-artifact-revision-summary": summary(source),
                },
            )


def summary(source: Source) -> str:
    """The commit and its subject in the characters that S3 allows in metadata (ASCII)."""
    text = f"{source.commit[:8]} {source.subject}".encode("ascii", "replace").decode()
    return "".join(character if character.isprintable() else " " for character in text)[:LONGEST_SUMMARY]


def publish(s3: Any, project: Project, source: Source, force: bool, say: Callable[[str], None]) -> bool:
    """Sends the commit unless it is there already; whether it did."""
    place = f"s3://{project.source_bucket}/{project.source_key(source.branch)}"
    if not force and published_commit(s3, project, source.branch) == source.commit:
        say(
            f"{place} is commit {source.commit[:8]} already; "
            "to start the pipeline again: make publish ARGS=--force"
        )
        return False
    send(s3, project, source)
    say(f"published commit {source.commit[:8]} ({source.subject}) of {source.branch} to {place}")
    return True
