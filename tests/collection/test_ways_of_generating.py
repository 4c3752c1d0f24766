"""However one generates, the files are the same; `cruft update` brings an edited repository up to date."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cruft
import pytest

PROJECT = "model-build/{{cookiecutter.project_slug}}"
Generate = Callable[..., Path]
Git = Callable[..., str]


def contents(repository: Path) -> dict[str, bytes]:
    """The files and their bytes, without what git and cruft keep for themselves."""
    return {
        path.relative_to(repository).as_posix(): path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file() and path.relative_to(repository).parts[0] not in (".git", ".cruft.json")
    }


def through_a_relative_path(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source.parent)
        return generate(into, template=source.name)


def through_the_template_s_own_folder(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return generate(into, template=str(source / "model-build"), directory="")


def through_a_git_address(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    # without git+, cookiecutter takes an address for git's only when "git" is somewhere in it
    return generate(into, template="git+" + source.as_uri())


def through_a_zip(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    git(source, "archive", "--format=zip", "--prefix=collection/", f"--output={into}/collection.zip", "HEAD")
    return generate(into, template=str(into / "collection.zip"))


def through_the_menu(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return generate(into, directory="")


def through_cruft(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return cruft.create(str(source), into, directory="model-build")


@pytest.mark.parametrize(
    "way",
    [
        through_a_relative_path,
        through_the_template_s_own_folder,
        through_a_git_address,
        through_a_zip,
        through_the_menu,
        through_cruft,
    ],
    ids=lambda way: way.__name__,
)
def test_every_way_of_generating_gives_the_same_bytes(
    way: Callable[..., Path],
    generated: Path,
    template_repository: Path,
    generate: Generate,
    git: Git,
    tmp_path: Path,
) -> None:
    assert contents(way(template_repository, tmp_path, generate, git)) == contents(generated)


def test_cruft_updates_an_edited_repository(template_repository: Path, git: Git, tmp_path: Path) -> None:
    source = tmp_path / "collection"
    shutil.copytree(template_repository, source)
    repository = cruft.create(str(source), tmp_path, directory="model-build")
    assert not (repository / ".git").exists()
    git(repository, "init", "--quiet")
    replace(repository / "config/model.yaml", "batch_size: 16", "batch_size: 24")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "A user's edit")

    replace(source / PROJECT / "config/model.yaml", "# What to learn", "# What it learns")
    replace(source / PROJECT / "config/project.yaml", "# for people", "# what people say")
    (source / PROJECT / "steps/new.py").write_text("print('{{ not Jinja }}')\n")
    (source / PROJECT / "sandbox.toml").unlink()
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "A newer template")

    assert not cruft.check(repository)
    assert cruft.update(repository, skip_apply_ask=True)
    assert cruft.check(repository)
    model = (repository / "config/model.yaml").read_text()
    assert "batch_size: 24" in model and "# What it learns" in model
    assert 'name: "Email Router"  # what people say' in (repository / "config/project.yaml").read_text()
    assert (repository / "steps/new.py").read_text() == "print('{{ not Jinja }}')\n"
    assert not (repository / "sandbox.toml").exists()
    assert not list(repository.rglob("*.rej"))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
