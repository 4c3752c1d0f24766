"""What the story's commands find around them, and what of a person's own they do not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from demo import machine


def test_credentials_and_organisations_of_a_person_are_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    own = {
        "AWS_PROFILE": "mine",
        "BITBUCKET_TOKEN": "x",
        "MLOPS_SANDBOX_ORGANISATION": "/elsewhere",
        "LANG": "C",
    }
    found = machine.environment(tmp_path / "settings", {**own, "TF_PLUGIN_CACHE_DIR": "/cache"})
    assert not set(own) - {"LANG"} & set(found) and found["LANG"] == "C"
    assert Path(found["COOKIECUTTER_CONFIG"]).is_file()


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"TF_PLUGIN_CACHE_DIR": "/theirs"}, None),  # a person who has said where plug-ins are is left alone
        ({"MLOPS_TERRAFORM_PLUGINS": "/mirror"}, 'path = "/mirror"'),
        ({"TF_CLI_CONFIG_FILE": "/nowhere/terraformrc"}, "plugin_cache_dir"),
        ({}, "plugin_cache_dir"),
    ],
)
def test_terraform_fetches_its_provider_once_unless_a_person_has_said_where_it_is(
    tmp_path: Path, theirs: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = machine.environment(tmp_path / "build/settings", theirs)
    if expected is None:
        assert "TF_CLI_CONFIG_FILE" not in found
        return
    config = Path(found["TF_CLI_CONFIG_FILE"])
    assert expected in config.read_text()
    if shutil.which("terraform"):
        said = subprocess.run(
            ["terraform", "version"], env={**os.environ, **found}, capture_output=True, text=True, check=True
        )
        assert "problem" not in (said.stdout + said.stderr).lower()


def test_commits_have_an_author_also_where_git_knows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)
    assert machine.environment(tmp_path / "settings", {})["GIT_AUTHOR_EMAIL"] == "demo@example.org"
    (tmp_path / "gitconfig").write_text("[user]\n  email = me@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert "GIT_AUTHOR_EMAIL" not in machine.environment(tmp_path / "settings", {})


def test_what_is_missing_is_said_all_at_once_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = "\n".join(machine.problems(tmp_path))
    assert "terraform: not found on PATH: https://" in said and "git: not found" in said
    assert ".venv-container: no such Python environment: make setup" in said
