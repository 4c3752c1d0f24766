"""However one generates, the files are the same; `cruft update` brings an edited repository up to date."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cruft
import pytest

from hooks import assembly

TEMPLATE = "model-build"
PROJECT = "model-build/{{cookiecutter.project_slug}}"
ODD = 'it\'s a "check out" \u00e9\u6771\u4eac'
Generate = Callable[..., Path]
Git = Callable[..., str]


def contents(repository: Path) -> dict[str, bytes]:
    """The files and their bytes, without what git and cruft keep for themselves."""
    return {
        path.relative_to(repository).as_posix(): path.read_bytes()
        for path in repository.rglob("*")
        if path.is_file() and path.relative_to(repository).parts[0] not in (".git", ".cruft.json")
    }


def command_line(*arguments: object) -> None:
    command = [sys.executable, "-m", "cookiecutter", *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def copied(source: Path, into: Path) -> Path:
    """The collection at another place, as a repository of one commit."""
    shutil.copytree(source, into)
    return into


def by_the_command_line(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    command_line(source, "--directory", TEMPLATE, "--no-input", "--output-dir", into)
    return into / "email-router"


def by_the_menu(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return generate(into, directory="")


def by_the_same_answers_again(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    command_line(source, "--directory", TEMPLATE, "--no-input", "--output-dir", into / "first")
    command_line(source, "--directory", TEMPLATE, "--replay", "--output-dir", into)
    return into / "email-router"


def from_a_relative_path(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source.parent)
        return generate(into, template=source.name)


def from_the_template_s_own_folder(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return generate(into, template=str(source / TEMPLATE), directory="")


def from_a_git_address(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    # without git+, cookiecutter takes an address for git's only when "git" is somewhere in it
    return generate(into, template="git+" + source.as_uri())


def from_a_tag(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    tagged = copied(source, into / "tagged.git")
    git(tagged, "tag", "v1")
    (tagged / "shared/parts/everywhere/later.txt").write_text("after the tag\n")
    git(tagged, "add", "--all")
    git(tagged, "commit", "--quiet", "--message", "After the tag")
    return generate(into, template="git+" + tagged.as_uri(), checkout="v1")


def from_a_zip(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    git(source, "archive", "--format=zip", "--prefix=collection/", f"--output={into}/collection.zip", "HEAD")
    return generate(into, template=str(into / "collection.zip"))


def from_a_path_with_odd_characters(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return generate(into / ODD, template=str(copied(source, into / ODD / "collection")))


def by_cruft(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return cruft.create(str(source), into, directory=TEMPLATE)


def by_cruft_from_a_path_with_odd_characters(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    return cruft.create(str(copied(source, into / ODD / "collection")), into / ODD, directory=TEMPLATE)


def over_a_repository_of_an_older_version(source: Path, into: Path, generate: Generate, git: Git) -> Path:
    older = copied(source, into / "older")
    other_wheel(older)
    repository = generate(into, template=str(older))
    assert generate(into, overwrite_if_exists=True) == repository
    return repository


@pytest.mark.parametrize(
    "way",
    [
        by_the_command_line,
        by_the_menu,
        by_the_same_answers_again,
        from_a_relative_path,
        from_the_template_s_own_folder,
        from_a_git_address,
        from_a_tag,
        from_a_zip,
        from_a_path_with_odd_characters,
        by_cruft,
        by_cruft_from_a_path_with_odd_characters,
        over_a_repository_of_an_older_version,
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
    # the other side is generated from an absolute path by Python, as nearly all tests do
    assert contents(way(template_repository, tmp_path, generate, git)) == contents(generated)


def test_two_checkouts_in_one_process_do_not_mix(
    template_repository: Path, generate: Generate, git: Git, tmp_path: Path
) -> None:
    other = copied(template_repository, tmp_path / "other")
    (other / "shared/parts/everywhere/other.txt").write_text("of the other\n")
    path = list(sys.path)
    for number, source in enumerate((template_repository, other, template_repository)):
        repository = generate(tmp_path / str(number), template=str(source))
        assert (repository / "other.txt").exists() == (source == other)
        assert "checkout" not in sys.modules and sys.path == path


@pytest.fixture
def source(template_repository: Path, git: Git, tmp_path: Path) -> Path:
    """A collection that a test may change."""
    return copied(template_repository, tmp_path / "collection")


@pytest.fixture
def edited(source: Path, git: Git, tmp_path: Path) -> Path:
    """A repository that cruft generated, with one edit, committed."""
    repository = cruft.create(str(source), tmp_path, directory=TEMPLATE)
    assert not (repository / ".git").exists()
    git(repository, "init", "--quiet")
    replace(repository / "config/model.yaml", "batch_size: 16", "batch_size: 24")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "A user's edit")
    return repository


def test_cruft_finds_nothing_new_and_shows_a_person_s_own_edit(edited: Path) -> None:
    assert cruft.check(edited)
    command = [sys.executable, "-m", "cruft", "diff", "--project-dir", str(edited)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    changed = [line[1:].split()[:2] for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert sorted(changed) == [["batch_size:", "16"], ["batch_size:", "24"]]


def test_cruft_updates_an_edited_repository(source: Path, edited: Path, git: Git) -> None:
    replace(source / PROJECT / "config/model.yaml", "# What to learn", "# What it learns")
    replace(source / PROJECT / "config/project.yaml", "# for people", "# what people say")
    (source / PROJECT / "steps/new.py").write_text("print('{{ not Jinja }}')\n")
    (source / "shared/parts/everywhere/new.txt").write_text("{{ not Jinja }}\n")
    (source / "shared/parts/everywhere/sandbox.toml").unlink()
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "A newer template")

    assert not cruft.check(edited)
    assert cruft.update(edited, skip_apply_ask=True)
    assert cruft.check(edited)
    model = (edited / "config/model.yaml").read_text()
    assert "batch_size: 24" in model and "# What it learns" in model
    assert 'name: "Email Router"  # what people say' in (edited / "config/project.yaml").read_text()
    assert (edited / "steps/new.py").read_text() == "print('{{ not Jinja }}')\n"
    assert (edited / "new.txt").read_text() == "{{ not Jinja }}\n"
    assert not (edited / "sandbox.toml").exists()
    assert not list(edited.rglob("*.rej"))


def other_version(source: Path) -> None:
    """The next version of the workbench."""
    version = assembly.version()
    replace(
        source / "shared/workbench/src/mlops_workbench/__init__.py",
        f'__version__ = "{version}"',
        '__version__ = "99.0.1"',
    )


def other_content(source: Path) -> None:
    """Another workbench under the same version."""
    (source / "shared/workbench/src/mlops_workbench/more.py").write_text("MORE = 1\n")


def other_wheel(source: Path) -> None:
    """Both."""
    other_version(source)
    other_content(source)


@pytest.mark.parametrize(
    "change", [other_version, other_content, other_wheel], ids=lambda change: change.__name__
)
def test_cruft_replaces_the_wheel(
    change: Callable[[Path], None], source: Path, edited: Path, git: Git, tmp_path: Path
) -> None:
    change(source)
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "Another workbench")
    assert cruft.update(edited, skip_apply_ask=True)
    fresh = cruft.create(str(source), tmp_path / "fresh", directory=TEMPLATE)
    (wheel,) = (edited / "wheels").iterdir()
    assert wheel.read_bytes() == (fresh / "wheels" / wheel.name).read_bytes()
    ours, theirs = contents(edited), contents(fresh)
    assert ours.keys() == theirs.keys()
    assert [name for name, content in ours.items() if content != theirs[name]] == ["config/model.yaml"]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
