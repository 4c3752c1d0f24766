"""The workbench's wheel: the same bytes wherever it is made, valid, whole, refused when a byte is another."""

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from hooks import assembly

COLLECTION = Path(__file__).resolve().parents[2]
FOUNDATION = COLLECTION / "shared/foundation"
INSTALL = ("install", "--no-index", "--no-deps", "--require-hashes", "-r", "requirements/workbench.txt")
PRINTED = re.compile(r"(mlops_workbench-([^-]+)-py3-none-any\.whl)  SHA-256 ([0-9a-f]{64})\n")


def made(checkout: Path, mask: int, **environment: str) -> str:
    """What `python -m hooks.assembly` prints in a checkout: the wheel's name and SHA-256."""
    return subprocess.run(
        [sys.executable, "-m", "hooks.assembly"],
        cwd=checkout,
        env={**os.environ, **environment},
        umask=mask,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.mark.skipif(os.name == "nt", reason="modes and umask")
def test_it_is_the_same_byte_for_byte_wherever_it_is_made(
    template_repository: Path, wheel: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another" / "über here"
    shutil.copytree(template_repository, elsewhere, ignore=shutil.ignore_patterns(".git"))
    for number, path in enumerate(sorted(elsewhere.rglob("*"))):
        if path.is_file():
            path.chmod(0o777 if number % 2 else 0o600)
        os.utime(path, (1_000_000_000 + number, 1_500_000_000 + 7 * number))
    # what tools leave behind
    package = elsewhere / "shared/workbench/src/mlops_workbench"
    for name in ("__pycache__/a.pyc", ".mypy_cache/3.11/b.json", ".DS_Store", "sandbox/__pycache__/c.pyc"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("litter")
    root = elsewhere / "shared/foundation/production"
    for name in (".terraform/providers/a", "terraform.tfstate", "own.tfvars", ".terraform.lock.hcl"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("litter")
    printed = made(elsewhere, 0o077, TZ="Asia/Kathmandu", PYTHONHASHSEED="7", LC_ALL="C")
    assert printed == made(COLLECTION, 0o002, TZ="UTC", PYTHONHASHSEED="1")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert printed == f"{wheel.name}  SHA-256 {digest}\n"


def test_every_repository_carries_the_same_and_names_its_hash(repository: Path, wheel: Path) -> None:
    (carried,) = (repository / "wheels").iterdir()
    assert (carried.name, carried.read_bytes()) == (wheel.name, wheel.read_bytes())
    line = (repository / "requirements/workbench.txt").read_text().splitlines()[-1]
    assert line == f"./wheels/{wheel.name} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"


def test_its_record_names_every_file_with_its_hash_and_size(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert [row[0] for row in rows] == archive.namelist()
        for name, digest, size in rows:
            if name == record:
                assert (digest, size) == ("", "")
                continue
            data = archive.read(name)
            hashed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={hashed}", str(len(data))), name


def test_it_says_what_the_package_says(wheel: Path) -> None:
    project = tomllib.loads((COLLECTION / "shared/workbench/pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    with zipfile.ZipFile(wheel) as archive:
        info = f"mlops_workbench-{assembly.version()}.dist-info"
        metadata = BytesParser().parsebytes(archive.read(f"{info}/METADATA"))
        scripts = archive.read(f"{info}/entry_points.txt").decode()
    assert wheel.name == f"mlops_workbench-{assembly.version()}-py3-none-any.whl"
    assert (metadata["Name"], metadata["Version"]) == (project["name"], assembly.version())
    assert metadata["Requires-Python"] == project["requires-python"]
    expected = "".join(f"{name} = {called}\n" for name, called in project["scripts"].items())
    assert scripts == f"[console_scripts]\n{expected}"


def test_nothing_is_in_it_but_source_and_the_foundation(wheel: Path, git: Callable[..., str]) -> None:
    tracked = git(
        COLLECTION, "ls-files", "-co", "--exclude-standard", "shared/workbench/src", "shared/foundation"
    )
    wanted = {
        name.replace("shared/workbench/src/", "").replace("shared/foundation/", "mlops_workbench/foundation/")
        for name in tracked.splitlines()
        if (COLLECTION / name).is_file()
    }
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == wanted
    assert "mlops_workbench/foundation/README.md" in found
    assert "mlops_workbench/cost/prices.yaml" in found


@pytest.mark.parametrize("left_out", ["shared/foundation", "shared/workbench"])
def test_a_checkout_that_is_not_whole_makes_none(
    template_repository: Path, tmp_path: Path, left_out: str
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(template_repository, checkout, ignore=shutil.ignore_patterns(".git", "tests", "docs"))
    shutil.rmtree(checkout / left_out)
    done = subprocess.run(
        [sys.executable, "-m", "hooks.assembly"], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode != 0 and done.stdout == ""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment with pip and nothing else."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    yield folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    command = [str(python), "-m", "pip", "--isolated", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_pip_installs_it_by_hash_without_an_index_and_refuses_another_byte(
    fresh: Path, repositories: dict[str, Path], tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(repositories["model-build"], repository)
    (carried,) = (repository / "wheels").iterdir()
    good = carried.read_bytes()
    changed = bytearray(good)
    place = good.index(b"def main(")
    changed[place : place + 3] = b"Def"
    carried.write_bytes(changed)
    refused = pip(fresh, repository, *INSTALL)
    assert refused.returncode != 0 and "DO NOT MATCH THE HASHES" in refused.stderr
    assert "mlops-workbench" not in pip(fresh, repository, "list").stdout

    carried.write_bytes(good)
    done = pip(fresh, repository, *INSTALL)
    assert done.returncode == 0, done.stderr
    script = fresh.with_name("mlops-sandbox.exe" if os.name == "nt" else "mlops-sandbox")
    assert script.is_file() and "mlops_workbench.sandbox.cli" in script.read_text(errors="replace")
    (info,) = fresh.parents[1].rglob("mlops_workbench-*.dist-info")
    installed = Distribution.at(info)
    assert installed.version == assembly.version()
    assert all(Path(file.locate()).is_file() for file in installed.files or [])
    shown = subprocess.run(
        [str(fresh), "-m", "mlops_workbench", "doctor", "--help"],
        cwd=repository,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0 and "usage: python -m mlops_workbench doctor" in shown.stdout, shown.stderr


def test_the_sandbox_finds_the_foundation_in_it(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "from mlops_workbench.sandbox.organisation import foundation; print(foundation.find(None))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "site/mlops_workbench/foundation"), done.stderr


def test_a_reviewer_can_unpack_it(repository: Path, git: Callable[..., str], tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy)
    (copy / "build/workbench/mlops_workbench").mkdir(parents=True)
    (copy / "build/workbench/mlops_workbench/of_an_older_one.py").write_text("")
    done = subprocess.run(
        ["make", "read-tools", f"PYTHON={sys.executable}"], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "build/workbench" in done.stdout
    unpacked = copy / "build/workbench/mlops_workbench"
    assert {"cost", "delivery", "doctor", "foundation", "sandbox"} <= {
        path.name for path in unpacked.iterdir()
    }
    assert not (unpacked / "of_an_older_one.py").exists()
    source = COLLECTION / "shared/workbench/src/mlops_workbench/__main__.py"
    assert (unpacked / "__main__.py").read_bytes() == source.read_bytes()
    assert git(copy, "status", "--porcelain") == ""


def test_the_changelog_s_hash_of_this_version_is_the_wheel_s() -> None:
    text = (COLLECTION / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    ours = [each for each in sections if re.match(rf"\[?v?{re.escape(assembly.version())}\b", each)]
    named = re.findall(r"SHA-256\W+([0-9a-f]{64})", "".join(ours))
    if not named:
        pytest.skip(f"CHANGELOG.md names no SHA-256 of {assembly.version()}")
    printed = PRINTED.fullmatch(made(COLLECTION, 0o022))
    assert printed is not None and named == [printed[3]]
