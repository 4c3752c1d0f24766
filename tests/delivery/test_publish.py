"""`publish` sends a commit to where the pipeline looks for it, once."""

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Git = Callable[..., str]


@pytest.fixture
def repository(make_repository: Callable[[str], Path]) -> Path:
    """A repository whose Bitbucket is never asked."""
    return make_repository("https://bitbucket.example.org")


def test_a_commit_arrives_as_git_archive_with_its_id(
    repository: Path, organisation: Any, delivery: Callable[..., Any], git: Git
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    done = delivery("publish")
    assert (done.status, done.err) == (0, "")
    assert (
        commit[:8] in done.out
        and "s3://mlops-source-111111111111-ca-central-1/email-router/main.zip" in done.out
    )
    assert "codepipeline/pipelines/email-router/view?region=ca-central-1" in done.out
    found = organisation.source()
    assert found["Metadata"] == {
        "commit": commit,
        "codepipeline-artifact-revision-summary": f"{commit[:8]} First commit, as generated",
    }
    with zipfile.ZipFile(io.BytesIO(found["Body"].read())) as archive:
        assert archive.read(".commit").decode().strip() == commit
        assert sorted(archive.namelist()) == sorted(
            [*git(repository, "ls-files").splitlines(), "config/", "terraform/", "terraform/delivery/"]
        )


def test_the_same_commit_is_sent_once_unless_forced(
    repository: Path, organisation: Any, delivery: Callable[..., Any]
) -> None:
    bucket = "mlops-source-111111111111-ca-central-1"
    assert delivery("publish").status == 0
    again = delivery("publish")
    assert again.status == 0 and "already" in again.out
    assert len(organisation.versions(bucket)) == 1
    assert delivery("publish", "--force").status == 0
    assert len(organisation.versions(bucket)) == 2


def test_work_that_is_in_no_commit_stops_it_unless_that_is_meant(
    repository: Path, organisation: Any, delivery: Callable[..., Any]
) -> None:
    (repository / "new.py").write_text("1\n")
    refused = delivery("publish")
    assert refused.status == 1 and "--allow-dirty" in refused.err
    assert not organisation.versions("mlops-source-111111111111-ca-central-1")
    assert delivery("publish", "--allow-dirty").status == 0
    with zipfile.ZipFile(io.BytesIO(organisation.source()["Body"].read())) as archive:
        assert "new.py" not in archive.namelist()


def test_a_branch_keeps_its_name_slashes_and_capitals_included(
    repository: Path, organisation: Any, delivery: Callable[..., Any], git: Git
) -> None:
    git(repository, "checkout", "--quiet", "-b", "feature/New-Labels")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "\u00dcber labels")
    assert delivery("publish").status == 0
    found = organisation.source("feature/New-Labels")["Metadata"]
    assert found["commit"] == git(repository, "rev-parse", "HEAD")
    assert found["codepipeline-artifact-revision-summary"].endswith(" ?ber labels")
    # the head of another branch, not what is checked out
    assert delivery("publish", "--branch", "main").status == 0
    assert organisation.source()["Metadata"]["commit"] == git(repository, "rev-parse", "main")


def test_a_commit_without_a_branch_needs_the_branch_s_name(
    repository: Path, organisation: Any, delivery: Callable[..., Any], git: Git
) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert "--branch NAME" in delivery("publish").err
    assert delivery("publish", "--branch", "main").status == 0
    assert organisation.source()["Metadata"]["commit"] == git(repository, "rev-parse", "HEAD")


def test_a_branch_that_is_not_there_is_named(
    repository: Path, organisation: Any, delivery: Callable[..., Any]
) -> None:
    assert "--branch nothing: there is no such branch" in delivery("publish", "--branch", "nothing").err


def test_without_a_foundation_it_names_the_bucket(
    repository: Path, sandbox: object, delivery: Callable[..., Any]
) -> None:
    done = delivery("publish")
    assert done.status == 1
    assert "s3://mlops-source-111111111111-ca-central-1" in done.err and "NoSuchBucket" in done.err


def test_without_credentials_it_says_so_in_one_line(
    repository: Path, organisation: Any, delivery: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    done = delivery("publish")
    assert done.status == 1 and "Unable to locate credentials" in done.err and len(done.err.splitlines()) == 1


def test_the_module_can_be_run(repository: Path, collection: Path) -> None:
    path = os.pathsep.join(
        str(collection / part) for part in ("shared/workbench/src", "shared/parts/everywhere")
    )
    done = subprocess.run(
        [sys.executable, "-m", "mlops_workbench", "publish", "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path},
    )
    assert done.returncode == 0 and "BITBUCKET_TOKEN" in done.stdout and "examples:" in done.stdout
