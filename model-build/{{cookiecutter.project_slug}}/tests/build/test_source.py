"""Which commit a definition was built from: git where there is git, else what `git archive` wrote."""

import subprocess

from model_build.source import UNKNOWN, commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_archive_of_a_commit_says_which(tmp_path):
    (tmp_path / ".commit").write_text(f"{COMMIT}\n")
    assert commit(tmp_path, {}) == COMMIT


def test_a_format_that_nobody_filled_in_is_no_commit(tmp_path):
    (tmp_path / ".commit").write_text("$Format:%H$\n")
    assert commit(tmp_path, {}) == UNKNOWN
    (tmp_path / ".commit").unlink()
    assert commit(tmp_path, {}) == UNKNOWN


def test_the_environment_comes_first(tmp_path):
    (tmp_path / ".commit").write_text(f"{COMMIT}\n")
    assert commit(tmp_path, {"GIT_COMMIT": "abc"}) == "abc"


def test_git_archive_fills_in_the_format(tmp_path):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (tmp_path / ".gitattributes").write_text(".commit export-subst\n")
    (tmp_path / ".commit").write_text("$Format:%H$\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "First")
    git("archive", "--format=zip", "--output=source.zip", "HEAD")
    archive = tmp_path / "unpacked"
    subprocess.run(["python3", "-m", "zipfile", "-e", "source.zip", str(archive)], cwd=tmp_path, check=True)
    assert commit(archive, {}) == git("rev-parse", "HEAD").strip()
