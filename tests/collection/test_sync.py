"""`make sync`: copies equal their sources, and nothing else is touched."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = "model-build/{{cookiecutter.project_slug}}"


@pytest.fixture
def sync(load: Callable[[Path], ModuleType], collection: Path) -> ModuleType:
    return load(collection / "tools/sync.py")


@pytest.fixture
def small(tmp_path: Path, sync: ModuleType) -> Path:
    """A collection in step, with one file of each kind."""
    files = {
        "cookiecutter.json": '{"templates": {"model-build": {"path": "./model-build"}}}',
        "tools/sync.py": "",
        "hooks/pre_gen_project.py": "print('{{ cookiecutter.x }}')\n",
        "shared/template/.gitignore": "*.pyc\r\n",
        "shared/template/tools/run.sh": "#!/bin/sh\n",
        "shared/foundation/production/main.tf": "# Production\n",
        "shared/foundation/production/terraform.tfvars": "litter",
        "shared/foundation/build/bridge.zip": "litter",
        "shared/pipeline/pipeline_sdk/steps.py": "# model-build's, too\n",
        "shared/release/release/place.py": "# not model-build's\n",
        "shared/sandbox/README.md": "# Sandbox\n",
        "shared/sandbox/pyproject.toml": "[project]\n",
        "shared/sandbox/src/mlops_sandbox/__init__.py": "",
        "shared/sandbox/src/mlops_sandbox/py.typed": "\xff",
        "shared/sandbox/src/mlops_sandbox/__pycache__/x.pyc": "litter",
        "shared/sandbox/src/mlops_sandbox.egg-info/PKG-INFO": "litter",
        f"{PROJECT}/config/model.yaml": "a person's\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    (tmp_path / "shared/template/tools/run.sh").chmod(0o755)
    assert sync.synchronise(tmp_path) == 0
    return tmp_path


def test_the_copies_of_this_collection_are_in_step(sync: ModuleType, collection: Path) -> None:
    assert sync.differences(collection) == {}


def test_copies_have_the_bytes_and_mode_of_their_source_and_litter_stays_out(small: Path) -> None:
    copied = {
        path.relative_to(small / PROJECT).as_posix()
        for path in (small / PROJECT).rglob("*")
        if path.is_file()
    }
    assert copied == {
        ".gitignore",
        "config/model.yaml",
        "pipeline_sdk/steps.py",
        "sandbox/README.md",
        "sandbox/foundation/production/main.tf",
        "sandbox/pyproject.toml",
        "sandbox/src/mlops_sandbox/__init__.py",
        "sandbox/src/mlops_sandbox/py.typed",
        "tools/run.sh",
    }
    assert (small / PROJECT / ".gitignore").read_bytes() == b"*.pyc\r\n"
    assert (small / PROJECT / "sandbox/src/mlops_sandbox/py.typed").read_bytes() == b"\xff"
    assert (small / PROJECT / "tools/run.sh").stat().st_mode & 0o100
    assert (small / "model-build/hooks/pre_gen_project.py").read_text() == "print('{{ cookiecutter.x }}')\n"


def test_a_second_synchronisation_changes_nothing(sync: ModuleType, small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*") if path.is_file()}
    assert sync.synchronise(small) == 0
    after = {path: path.stat().st_mtime_ns for path in small.rglob("*") if path.is_file()}
    del before[small / "tools/copies.txt"], after[small / "tools/copies.txt"]
    assert after == before


def edit_a_source(small: Path) -> str:
    (small / "hooks/pre_gen_project.py").write_text("print()\n")
    return "model-build/hooks/pre_gen_project.py"


def edit_a_copy(small: Path) -> str:
    (small / PROJECT / "sandbox/README.md").write_text("# Edited in the wrong place\n")
    return f"{PROJECT}/sandbox/README.md"


def add_a_source(small: Path) -> str:
    (small / "shared/template/.editorconfig").write_text("root = true\n")
    return f"{PROJECT}/.editorconfig"


def remove_a_source(small: Path) -> str:
    (small / "shared/template/tools/run.sh").unlink()
    return f"{PROJECT}/tools/run.sh"


def make_a_copy_executable(small: Path) -> str:
    (small / PROJECT / ".gitignore").chmod(0o755)
    return f"{PROJECT}/.gitignore"


def replace_a_copy_by_a_link(small: Path) -> str:
    (small / PROJECT / ".gitignore").unlink()
    (small / PROJECT / ".gitignore").symlink_to(small / "shared/template/.gitignore")
    return f"{PROJECT}/.gitignore"


@pytest.mark.parametrize(
    "change",
    [
        edit_a_source,
        edit_a_copy,
        add_a_source,
        remove_a_source,
        make_a_copy_executable,
        replace_a_copy_by_a_link,
    ],
)
def test_check_names_what_is_out_of_step_and_sync_repairs_it(
    sync: ModuleType, small: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], str]
) -> None:
    path = change(small)
    capsys.readouterr()
    assert sync.check(small) == 1
    assert capsys.readouterr().out.splitlines()[0].startswith(f"{path}: ")
    assert sync.synchronise(small) == 0
    assert sync.check(small) == 0


def test_a_folder_whose_last_copy_goes_goes_too(sync: ModuleType, small: Path) -> None:
    remove_a_source(small)
    sync.synchronise(small)
    assert not (small / PROJECT / "tools").exists()
    assert (small / PROJECT / "config/model.yaml").read_text() == "a person's\n"


def test_a_file_put_among_the_copies_is_named_and_left(
    sync: ModuleType, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = small / PROJECT / "sandbox/src/mlops_sandbox/new.py"
    stray.write_text("work = 1\n")
    assert sync.synchronise(small) == 1
    assert "sandbox/src/mlops_sandbox/new.py: not a copy" in capsys.readouterr().out
    assert stray.read_text() == "work = 1\n"


def test_a_missing_source_folder_is_one_line(
    sync: ModuleType, small: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (small / "shared/sandbox/README.md").unlink()
    monkeypatch.setattr(sync, "COLLECTION", small)
    monkeypatch.setattr("sys.argv", ["sync.py", "--check"])
    assert sync.main() == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
