"""The zip of the Lambda functions' code: the same files, the same bytes."""

import importlib.util
import os
import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.foundation.terraform_roots import FOUNDATION


@pytest.fixture(scope="module")
def package() -> ModuleType:
    spec = importlib.util.spec_from_file_location("foundation_package", FOUNDATION / "package.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "one" / "bridge"
    (folder / "inner").mkdir(parents=True)
    (folder / "webhook.py").write_text("def handler(event, context): ...\n")
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "a.py").write_text("A = 1\n")
    return folder


def test_a_copy_made_later_with_other_modes_gives_the_same_bytes(
    package: ModuleType, sources: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "two" / "bridge"
    shutil.copytree(sources, copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (2_000_000_000, 2_000_000_000))
        path.chmod(0o600)
    package.pack(sources, tmp_path / "one.zip")
    package.pack(copy, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert package.fingerprint(sources) == package.fingerprint(copy)


def test_lambda_finds_readable_modules_in_the_package_and_nothing_else(
    package: ModuleType, sources: Path, tmp_path: Path
) -> None:
    (sources / "__pycache__").mkdir()
    (sources / "__pycache__" / "webhook.cpython-313.pyc").write_bytes(b"compiled")
    (sources / "notes.txt").write_text("no code")
    package.pack(sources, tmp_path / "bridge.zip")
    with zipfile.ZipFile(tmp_path / "bridge.zip") as archive:
        assert archive.namelist() == ["bridge/__init__.py", "bridge/inner/a.py", "bridge/webhook.py"]
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}


@pytest.mark.parametrize("change", ["content", "name"])
def test_a_change_gives_another_fingerprint(package: ModuleType, sources: Path, change: str) -> None:
    before = package.fingerprint(sources)
    if change == "content":
        (sources / "webhook.py").write_text("def handler(event, context): return 1\n")
    else:
        (sources / "webhook.py").rename(sources / "hook.py")
    assert package.fingerprint(sources) != before
