"""What generation adds to a template's own files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hooks import assembly

Git = Callable[..., str]
CLOUD, OWN = {"bitbucket_hosting": "cloud"}, {"bitbucket_hosting": "data-center"}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_every_part_is_somebody_s_and_every_template_has_its_parts() -> None:
    there = {path.name for path in assembly.PARTS.iterdir() if path.is_dir()}
    assert there == {assembly.FOR_BITBUCKET_CLOUD}.union(*assembly.PARTS_OF.values())
    assert set(assembly.PARTS_OF) == {
        path.parent.name for path in assembly.COLLECTION.glob("*/cookiecutter.json")
    }


def test_cloud_s_part_comes_with_its_hosting() -> None:
    names = {
        hosting["bitbucket_hosting"]: [folder.name for folder in assembly.parts("model-build", hosting)]
        for hosting in (CLOUD, OWN)
    }
    assert names["cloud"] == [*names["data-center"], "cloud"]


@pytest.mark.parametrize("template", assembly.PARTS_OF)
def test_a_repository_gets_what_git_tracks_of_its_parts(template: str, git: Git, tmp_path: Path) -> None:
    assembly.add_wheel(tmp_path)
    assembly.add_parts(tmp_path, assembly.parts(template, CLOUD), "team@example.org")
    expected = {
        f"wheels/{assembly.wheel_name()}",
        assembly.REQUIREMENT,
        assembly.COMMIT,
        assembly.OWNERS,
    }
    for folder in assembly.parts(template, CLOUD):
        tracked = git(folder, "ls-files", "-z", "-co", "--exclude-standard").strip("\0").split("\0")
        expected |= {name for name in tracked if (folder / name).is_file()}  # not one just deleted
    assert set(contents(tmp_path)) == expected
    assert contents(tmp_path)[assembly.OWNERS].endswith(b"*  team@example.org\n")


def test_no_two_parts_of_a_template_have_the_same_file() -> None:
    for template in assembly.PARTS_OF:
        own = assembly.COLLECTION / template / "{{cookiecutter.project_slug}}"
        names = [
            path.relative_to(folder).as_posix()
            for folder in [*assembly.parts(template, CLOUD), own]
            for path in assembly.files(folder)
        ]
        assert not {name for name in names if names.count(name) > 1}, template


def test_what_tools_leave_beside_sources_is_not_added(tmp_path: Path) -> None:
    part = tmp_path / "part"
    for name in (
        "a/b.py",
        "a/__pycache__/b.pyc",
        ".ruff_cache/x",
        "t/.terraform/p",
        "t/terraform.tfstate",
        ".DS_Store",
    ):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_text("x")
    assert [path.relative_to(part).as_posix() for path in assembly.files(part)] == ["a/b.py"]


def test_another_version_of_the_wheel_is_replaced_and_a_person_s_own_wheel_stays(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for name in ("mlops_workbench-0.0.1-py3-none-any.whl", "ours-1-py3-none-any.whl"):
        (tmp_path / "wheels" / name).write_bytes(b"")
    assembly.add_wheel(tmp_path)
    assert set(contents(tmp_path)) == {f"wheels/{assembly.wheel_name()}", "wheels/ours-1-py3-none-any.whl"}
