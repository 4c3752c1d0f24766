"""Moving a repository over to a newer template: `cruft update`, then `make tidy`."""

import difflib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cruft
import pytest

from mlops_workbench import upgrade

COLLECTION = Path(__file__).resolve().parents[2]
# The last commit whose repositories held the sandbox, doctor, cost and delivery as copies.
COPIES = "7bcb047"
Git = Callable[..., str]

OLD = {"kept.txt": "kept\n", "tools/one.py": "1\n", "tools/deep/two.py": "2\n", "sandbox/edited.py": "3\n"}
NEW = {"kept.txt": "kept, in other words\n", "new.txt": "new\n"}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def commit(git: Git, folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


@pytest.fixture(scope="module")
def template(git: Git, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small template with two versions. For reading: tests share it."""
    folder = tmp_path_factory.mktemp("upgrade") / "template"
    write(folder, {"cookiecutter.json": '{"slug": "made", "register": false}'})
    write(folder / "{{cookiecutter.slug}}", {**OLD, "answer.txt": "{{cookiecutter.register}}\n"})
    git(folder, "init", "--quiet")
    commit(git, folder, "Old")
    return folder


@pytest.fixture(scope="module")
def updated(template: Path, git: Git) -> Path:
    """What cruft generated from it, with an edit; updated, but for the files that the newer one has not."""
    folder = cruft.create(str(template), template.parent)
    git(folder, "init", "--quiet")
    commit(git, folder, "As generated")
    (folder / "sandbox/edited.py").write_text("3, or 4\n")
    write(folder, {"tools/mine.py": "5\n"})
    commit(git, folder, "Mine")
    shutil.rmtree(template / "{{cookiecutter.slug}}")
    write(template / "{{cookiecutter.slug}}", {**NEW, "answer.txt": "{{cookiecutter.register}}\n"})
    commit(git, template, "New")
    assert cruft.update(folder, skip_apply_ask=True)
    for name in OLD.keys() - {"kept.txt", "sandbox/edited.py"}:
        git(folder, "checkout", "HEAD", "--", name)  # as where cruft could not apply its own change
    commit(git, folder, "Template of today")
    return folder


@pytest.fixture
def repository(updated: Path, tmp_path: Path) -> Path:
    """A copy of that for each test."""
    return Path(shutil.copytree(updated, tmp_path / "made"))


def test_what_is_as_generated_goes_and_what_was_edited_stays_and_is_named(
    repository: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upgrade.main(["--root", str(repository), "--yes"]) == 0
    assert set(git(repository, "ls-files", "--deleted").splitlines()) == {"tools/one.py", "tools/deep/two.py"}
    assert (repository / "tools/mine.py").read_text() == "5\n"
    assert (repository / "sandbox/edited.py").read_text() == "3, or 4\n"
    assert (repository / "kept.txt").read_text() == NEW["kept.txt"]
    assert not (repository / "tools/deep").exists()
    out = capsys.readouterr().out
    kept, removed = out.split("as it generated them (2):")
    assert "  sandbox/edited.py  (now in the workbench's wheel: make sandbox" in kept
    assert removed.splitlines()[1:] == [
        "  tools/deep/two.py",
        "  tools/one.py",
        "Removed: 2. Then: git add --all && git commit",
    ]


def test_a_second_time_there_is_nothing_to_remove(
    repository: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upgrade.main(["--root", str(repository), "--yes"]) == 0
    commit(git, repository, "Tidy")
    assert upgrade.main(["--root", str(repository)]) == 0
    assert capsys.readouterr().out.endswith("\nNothing to remove.\n")
    assert git(repository, "status", "--porcelain") == ""


def test_what_cruft_could_not_merge_is_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository, {"steps/train.py.rej": "@@ -1 +1 @@\n"})
    assert upgrade.main(["--root", str(repository), "--yes"]) == 0
    assert "take it over into the file of that name, then remove them.\n  steps/train.py.rej\n" in (
        capsys.readouterr().out
    )
    assert (repository / "steps/train.py.rej").exists()


@pytest.mark.parametrize(("answer", "removed"), [("y", True), ("yes", True), ("n", False), ("", False)])
def test_it_asks_first(repository: Path, monkeypatch: pytest.MonkeyPatch, answer: str, removed: bool) -> None:
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert upgrade.main(["--root", str(repository)]) == (0 if removed else 1)
    assert (repository / "tools/one.py").exists() is not removed


def test_where_there_is_nobody_to_ask_nothing_is_removed(
    repository: Path, git: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert upgrade.main(["--root", str(repository)]) == 1
    assert "To do this without asking: --yes" in capsys.readouterr().out
    assert git(repository, "status", "--porcelain") == ""


def test_python_s_caches_go_with_their_folder(
    repository: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repository, {".gitignore": "__pycache__/\n"})
    git(repository, "rm", "--quiet", "tools/deep/two.py")
    commit(git, repository, "By hand")
    write(repository, {"tools/deep/__pycache__/two.pyc": "x", "tools/__pycache__/one.pyc": "x"})
    assert upgrade.main(["--root", str(repository), "--yes"]) == 0
    assert "  tools/deep/\n" in capsys.readouterr().out
    assert sorted(path.name for path in (repository / "tools").iterdir()) == ["__pycache__", "mine.py"]


def test_a_link_to_elsewhere_is_somebody_s_edit(repository: Path, git: Git, tmp_path: Path) -> None:
    write(tmp_path, {"elsewhere/two.py": OLD["tools/deep/two.py"]})
    shutil.rmtree(repository / "tools/deep")
    (repository / "tools/deep").symlink_to(tmp_path / "elsewhere")
    commit(git, repository, "A link")
    assert upgrade.main(["--root", str(repository), "--yes"]) == 0
    assert (tmp_path / "elsewhere/two.py").exists() and (repository / "tools/deep").is_symlink()


def test_the_older_commit_may_be_named(repository: Path, template: Path, git: Git) -> None:
    git(repository, "checkout", "--quiet", "--orphan", "no-history")
    commit(git, repository, "Without history")
    older = git(template, "rev-parse", "HEAD~1")
    assert upgrade.main(["--root", str(repository), "--from", older, "--yes"]) == 0
    assert not (repository / "tools/one.py").exists()


def test_generating_to_compare_registers_nothing(repository: Path, template: Path) -> None:
    state = json.loads((repository / ".cruft.json").read_text())
    state["context"]["cookiecutter"]["register"] = True
    into = repository.parent / "again"
    assert (upgrade.generated(state, into) / "answer.txt").read_text() == "False\n"


def without_cruft_s_file(repository: Path, git: Git) -> str:
    git(repository, "rm", "--quiet", ".cruft.json")
    return "expected what cruft writes, found none; cruft link makes it"


def with_another_file_of_that_name(repository: Path, git: Git) -> str:
    (repository / ".cruft.json").write_text('{"commit": 3}')
    return ".cruft.json: expected cruft's commit, template and context, found something else"


def outside_git(repository: Path, git: Git) -> str:
    shutil.rmtree(repository / ".git")
    return "git status: fatal: not a git repository"


def with_something_not_committed(repository: Path, git: Git) -> str:
    (repository / "kept.txt").write_text("mine")
    return "expected everything to be committed, found changes in kept.txt: git commit first"


def before_the_update(repository: Path, git: Git) -> str:
    git(repository, "checkout", "--quiet", "HEAD~1")
    return "run cruft update first, or name the one to compare with: --from <commit>"


def without_the_template(repository: Path, git: Git) -> str:
    state = json.loads((repository / ".cruft.json").read_text())
    (repository / ".cruft.json").write_text(json.dumps({**state, "template": str(repository / "nowhere")}))
    commit(git, repository, "It is gone")
    return "cruft could not generate"


@pytest.mark.parametrize(
    "way",
    [
        without_cruft_s_file,
        with_another_file_of_that_name,
        outside_git,
        with_something_not_committed,
        before_the_update,
        without_the_template,
    ],
    ids=lambda way: way.__name__,
)
def test_what_stands_in_the_way_is_said_in_one_line_and_nothing_is_removed(
    way: Callable[[Path, Git], str],
    repository: Path,
    git: Git,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = way(repository, git)
    assert upgrade.main(["--root", str(repository), "--yes"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tidy: ") and words in line
    assert (repository / "tools/one.py").exists()


def test_without_cruft_it_says_what_to_install(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(upgrade, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert upgrade.main(["--root", str(repository), "--yes"]) == 1
    assert capsys.readouterr().err == "tidy: cruft is not installed: pip install cruft\n"


# The real thing


@pytest.fixture
def history(git: Git, tmp_path: Path) -> Path:
    """A clone of the collection at COPIES, the working tree's state being the commit after it."""
    if subprocess.run(
        ["git", "cat-file", "-e", f"{COPIES}^{{commit}}"], cwd=COLLECTION, capture_output=True
    ).returncode:
        pytest.skip(f"this copy of the collection has no history up to {COPIES}: git fetch --unshallow")
    folder = tmp_path / "collection"
    git(tmp_path, "clone", "--quiet", "--no-checkout", str(COLLECTION), str(folder))
    git(folder, "checkout", "--quiet", "-B", "main", COPIES)
    return folder


def insertion(old: str, new: str) -> tuple[str, str] | None:
    """Both texts with a line in the middle of the longest stretch that they share; None: it is short."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    match = difflib.SequenceMatcher(None, before, after, autojunk=False).find_longest_match()
    if match.size < 8:
        return None
    for lines, start in ((before, match.a), (after, match.b)):
        lines.insert(start + match.size // 2, "# a person's own line\n")
    return "".join(before), "".join(after)


@pytest.mark.slow
def test_a_repository_with_copies_is_moved_over_with_its_edits(
    history: Path, template_repository: Path, git: Git, tmp_path: Path
) -> None:
    repository = cruft.create(str(history), tmp_path, directory="model-build")
    git(repository, "init", "--quiet")
    commit(git, repository, "As generated")

    git(history, "rm", "--quiet", "-r", ".")
    shutil.copytree(template_repository, history, ignore=shutil.ignore_patterns(".git"), dirs_exist_ok=True)
    commit(git, history, "The working tree")
    fresh = cruft.create(str(history), tmp_path / "fresh", directory="model-build")
    expected = {name: (fresh / name).read_bytes() for name in upgrade.files(fresh)}

    step = next(
        name
        for name in ("steps/train.py", "steps/evaluate.py", "steps/preprocess.py", "steps/inference.py")
        if name in expected and insertion((repository / name).read_text(), (fresh / name).read_text())
    )
    for name in ("config/model.yaml", "README.md", step):
        edited = insertion((repository / name).read_text(), (fresh / name).read_text())
        assert edited is not None, name
        (repository / name).write_text(edited[0])
        expected[name] = edited[1].encode()
    kept = {"sandbox/README.md": (repository / "sandbox/README.md").read_text() + "My own note.\n"}
    kept |= {"steps/mine.py": "print('mine')\n"}
    write(repository, kept)
    commit(git, repository, "Five edits")
    expected |= {name: text.encode() for name, text in kept.items()}

    assert cruft.update(repository, skip_apply_ask=True)
    git(repository, "checkout", "HEAD", "--", "cost", "doctor")  # as where cruft could not apply its change
    commit(git, repository, "Template of today")
    command = ["make", "tidy", f"PYTHON={sys.executable}", "ARGS=--yes"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "  sandbox/README.md  (now in the workbench's wheel" in done.stdout
    commit(git, repository, "Tidy")
    moved = {name: (repository / name).read_bytes() for name in upgrade.files(repository)}
    assert moved.keys() == expected.keys()
    assert [name for name, content in moved.items() if content != expected[name]] == []
