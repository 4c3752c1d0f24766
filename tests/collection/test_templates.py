"""What holds for every template in the menu."""

import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

from cookiecutter.generate import is_copy_only_path

from hooks import answers as rules
from hooks import assembly

PROJECT = "{{cookiecutter.project_slug}}"
LEAVES = {"README.md", "config/project.yaml", "pyproject.toml"}
OWN_LEAVES = {
    "model-build": set(),
    "serverless-inference": {"config/endpoint.yaml"},
    "batch-inference": {"config/transform.yaml"},
}
MADE = {f"wheels/{assembly.wheel_name()}", assembly.REQUIREMENT, assembly.COMMIT, assembly.OWNERS}
JINJA = re.compile(rb"\{[{%#]")


def settings(template: Path) -> dict[str, object]:
    return json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))


def questions(template: Path) -> list[str]:
    return [key for key in settings(template) if not key.startswith("_")]


def project_files(template: Path) -> dict[str, Path]:
    return {
        path.relative_to(template / PROJECT).as_posix(): path
        for path in (template / PROJECT).rglob("*")
        if path.is_file()
    }


def leaves(template: Path) -> set[str]:
    return LEAVES | OWN_LEAVES[template.name]


def rendered_files(template: Path) -> set[str]:
    """The files that cookiecutter renders: neither they nor a folder above them are copied as they stand."""
    context = {"cookiecutter": settings(template)}
    return {
        name
        for name in project_files(template)
        if not any(is_copy_only_path(str(part), context) for part in [Path(name), *Path(name).parents])
    }


def generated_files(template: Path, hosting: str = "data-center") -> dict[str, Path | None]:
    """The files that a repository has, and where each comes from; None: it is made."""
    files: dict[str, Path | None] = {**dict.fromkeys(MADE), **project_files(template)}
    for name in [*assembly.PARTS_OF[template.name], *(["cloud"] if hosting == "cloud" else [])]:
        part = template.parent / "shared/parts" / name
        files |= {path.relative_to(part).as_posix(): path for path in assembly.files(part)}
    return files


def test_a_template_has_hooks_and_a_project_folder(template: Path) -> None:
    assert {PROJECT, "checkout.py", "cookiecutter.json", "hooks"} <= {
        path.name for path in template.iterdir()
    }
    assert {path.name for path in (template / "hooks").iterdir()} == {
        "pre_gen_project.py",
        "post_gen_project.py",
    }
    assert (template / PROJECT).is_dir()


def test_every_answer_has_a_question_a_rule_and_no_secret(template: Path) -> None:
    keys = questions(template)
    assert list(settings(template)["__prompts__"]) == keys
    assert set(keys) <= {rule.key for rule in rules.RULES}
    assert not [key for key in keys if re.search("password|secret|token|credential", key)]


def test_every_answer_is_used(template: Path) -> None:
    read = [template / "cookiecutter.json", *(template.parent / "hooks").glob("*.py")]
    read += [project_files(template)[name] for name in rendered_files(template)]
    text = "\n".join([path.read_text(encoding="utf-8") for path in read] + sorted(project_files(template)))
    used = set(re.findall(r"cookiecutter\.(\w+)|fit\[\"(\w+)\"\]|answers(?:\.get\(|\[)\"(\w+)\"", text))
    used = {name for names in used for name in names}
    assert set(questions(template)) <= used


def test_only_the_leaves_are_rendered(template: Path) -> None:
    assert rendered_files(template) == leaves(template)
    assert all(JINJA.search(project_files(template)[name].read_bytes()) for name in leaves(template))
    assert not [name for name in project_files(template) if JINJA.search(name.encode())]


def test_no_folder_is_copied_whole(template: Path) -> None:
    # where a folder fits a pattern, cookiecutter removes what lies there first: generating over a repository
    # would cost a person's files
    context = {"cookiecutter": settings(template)}
    folders = [
        path.relative_to(template / PROJECT) for path in (template / PROJECT).rglob("*") if path.is_dir()
    ]
    assert folders and not [folder for folder in folders if is_copy_only_path(str(folder), context)]


def test_a_template_and_its_parts_have_no_file_in_common(template: Path) -> None:
    assembled = {
        name
        for name, path in generated_files(template, "cloud").items()
        if path is None or path.is_relative_to(template.parent / "shared")
    }
    assert assembled.isdisjoint(project_files(template))


def test_what_tools_leave_in_a_working_copy_does_not_disturb(
    template: Path, generate: Callable[..., Path], git: Callable[..., str], tmp_path: Path
) -> None:
    collection = tmp_path / "collection"
    ignored = shutil.ignore_patterns(".git")
    shutil.copytree(template.parent, collection, ignore=ignored, copy_function=os.link)  # none is changed
    for folder in (collection / template.name / PROJECT, collection / "shared/parts/everywhere"):
        for name in (".ruff_cache/0.1/2", ".pytest_cache/v/x", ".venv/bin/python", "steps/__pycache__/x.pyc"):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_bytes(b"{{ \x8d\xff")
    repository = generate(tmp_path, template=str(collection), directory=template.name)
    assert git(repository, "ls-files", "-z").strip("\0").split("\0") == sorted(generated_files(template))


def test_generating_over_a_repository_keeps_the_files_that_a_person_added(
    template: Path, generate: Callable[..., Path], tmp_path: Path
) -> None:
    # _copy_without_render lists files, because cookiecutter empties a folder that is listed there
    repository = generate(tmp_path, directory=template.name)
    folders = [path for path in repository.rglob("*") if path.is_dir() and ".git" not in path.parts]
    for folder in folders:
        (folder / "mine.txt").write_text("mine")
    assert generate(tmp_path, directory=template.name, overwrite_if_exists=True) == repository
    assert all((folder / "mine.txt").read_text() == "mine" for folder in folders)


def test_a_leaf_that_tools_read_in_place_is_valid_unrendered(template: Path) -> None:
    assert tomllib.loads(project_files(template)["pyproject.toml"].read_text(encoding="utf-8"))["project"]


def test_the_other_hosting_s_files_are_not_generated(
    template: Path, generate: Callable[..., Path], tmp_path: Path
) -> None:
    for hosting, there in (("data-center", False), ("cloud", True)):
        repository = generate(tmp_path / hosting, directory=template.name, bitbucket_hosting=hosting)
        assert (repository / "bitbucket-pipelines.yml").is_file() is there
        assert (repository / ".bitbucket/CODEOWNERS").read_text().splitlines()[-1] == "*  mlops@example.org"


def test_no_file_relies_on_being_executable_which_a_zip_forgets(template: Path) -> None:
    files = [path for path in generated_files(template, "cloud").values() if path is not None]
    assert not [path for path in files if path.stat().st_mode & 0o111]


def test_a_generated_repository_has_the_files_of_its_template_and_its_parts_and_no_jinja_is_left(
    template: Path, generate: Callable[..., Path], git: Callable[..., str], tmp_path: Path
) -> None:
    repository = generate(tmp_path, directory=template.name)
    sources = generated_files(template)
    assert git(repository, "ls-files", "-z").strip("\0").split("\0") == sorted(sources)
    assert git(repository, "status", "--porcelain", "--ignored") == ""
    # the first commit takes the bytes as they are: git, looking at the line ends, would have taken the same
    git(repository, "add", "--renormalize", ".")
    assert git(repository, "status", "--porcelain") == ""
    for name, source in sources.items():
        contents = (repository / name).read_bytes()
        assert source is None or contents == source.read_bytes() or name in leaves(template), name
        assert name not in leaves(template) or not JINJA.search(contents), name
        assert not re.search(rb"\{\{-?\s*cookiecutter", contents), name
