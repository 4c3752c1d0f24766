"""What holds for every template in the menu."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from cookiecutter.generate import is_copy_only_path

PROJECT = "{{cookiecutter.project_slug}}"
# a file whose name is empty for some answers is left out; cookiecutter does so only with files that it
# renders
CONDITIONAL = {"{% if cookiecutter.bitbucket_hosting == 'cloud' %}bitbucket-pipelines.yml{% endif %}"}
LEAVES = {".bitbucket/CODEOWNERS", ".commit", "README.md", "config/project.yaml", "pyproject.toml"}
OWN_LEAVES = {
    "model-build": set(),
    "serverless-inference": {"config/endpoint.yaml"},
    "batch-inference": {"config/transform.yaml"},
}
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


def test_a_template_has_hooks_and_a_project_folder(template: Path) -> None:
    assert (template / "hooks/pre_gen_project.py").is_file()
    assert (template / "hooks/post_gen_project.py").is_file()
    assert (template / PROJECT).is_dir()


def test_every_answer_has_a_question_a_rule_and_no_secret(template: Path, pre_gen: ModuleType) -> None:
    keys = questions(template)
    assert list(settings(template)["__prompts__"]) == keys
    assert set(keys) <= {rule.key for rule in pre_gen.RULES}
    assert not [key for key in keys if re.search("password|secret|token|credential", key)]


def test_every_answer_is_used(template: Path) -> None:
    read = [template / "cookiecutter.json", *(template / "hooks").glob("*.py")]
    read += [project_files(template)[name] for name in rendered_files(template)]
    text = "\n".join([path.read_text(encoding="utf-8") for path in read] + sorted(project_files(template)))
    used = set(re.findall(r"cookiecutter\.(\w+)|fit\[\"(\w+)\"\]|answers\.get\(\"(\w+)\"", text))
    used = {name for names in used for name in names}
    assert set(questions(template)) <= used


def test_only_the_leaves_are_rendered(template: Path) -> None:
    assert rendered_files(template) == leaves(template) | CONDITIONAL
    assert all(JINJA.search(project_files(template)[name].read_bytes()) for name in leaves(template))


def test_what_tools_leave_in_a_working_copy_does_not_disturb(
    template: Path, generate: Callable[..., Path], git: Callable[..., str], tmp_path: Path
) -> None:
    shutil.copytree(template, tmp_path / "copy")
    for name in (".ruff_cache/0.1/2", ".pytest_cache/v/x", ".venv/bin/python", "steps/__pycache__/x.pyc"):
        (tmp_path / "copy" / PROJECT / name).parent.mkdir(parents=True)
        (tmp_path / "copy" / PROJECT / name).write_bytes(b"{{ \x8d\xff")
    repository = generate(tmp_path, template=str(tmp_path / "copy"), directory="")
    files = sorted(project_files(template).keys() - CONDITIONAL)
    assert git(repository, "ls-files", "-z").strip("\0").split("\0") == files


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


def test_only_the_names_of_conditional_files_carry_jinja(template: Path) -> None:
    assert {name for name in project_files(template) if JINJA.search(name.encode())} == CONDITIONAL


def test_the_other_hosting_s_files_are_not_generated(
    template: Path, generate: Callable[..., Path], tmp_path: Path
) -> None:
    for hosting, there in (("data-center", False), ("cloud", True)):
        repository = generate(tmp_path / hosting, directory=template.name, bitbucket_hosting=hosting)
        assert (repository / "bitbucket-pipelines.yml").is_file() is there
        assert (repository / ".bitbucket/CODEOWNERS").read_text().splitlines()[-1] == "*  mlops@example.org"


def test_no_file_relies_on_being_executable_which_a_zip_forgets(template: Path) -> None:
    assert not [name for name, path in project_files(template).items() if path.stat().st_mode & 0o111]


def test_a_generated_repository_has_the_files_of_the_template_and_no_jinja_is_left(
    template: Path, generate: Callable[..., Path], git: Callable[..., str], tmp_path: Path
) -> None:
    repository = generate(tmp_path, directory=template.name)
    sources = {name: path for name, path in project_files(template).items() if name not in CONDITIONAL}
    assert git(repository, "ls-files", "-z").strip("\0").split("\0") == sorted(sources)
    assert git(repository, "status", "--porcelain", "--ignored") == ""
    # the first commit takes the bytes as they are: git, looking at the line ends, would have taken the same
    git(repository, "add", "--renormalize", ".")
    assert git(repository, "status", "--porcelain") == ""
    for name, source in sources.items():
        contents = (repository / name).read_bytes()
        assert contents == source.read_bytes() or name in leaves(template), name
        assert name not in leaves(template) or not JINJA.search(contents), name
        assert not re.search(rb"\{\{-?\s*cookiecutter", contents), name
