"""tools/environment.py of a generated repository: when an environment is made anew, and with what."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "shared/parts/everywhere/tools/environment.py"
WHEEL = "wheels/tool-1.0-py3-none-any.whl"


@pytest.fixture
def environment(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(SCRIPT)


def write_wheel(folder: Path, said: str) -> None:
    """A wheel, always of the same version, and the file that names it with its hash."""
    path = folder / WHEEL
    path.parent.mkdir(exist_ok=True)
    info = "tool-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tool.py", f"SAID = {said!r}\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tool.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "workbench.txt").write_text(f"# what is packed\n./{WHEEL} --hash=sha256:{digest}\n")


def test_a_file_that_another_one_names_counts(environment: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "build.txt").write_text("-r deploy.txt\nsagemaker==3\n")
    (tmp_path / "deploy.txt").write_text("boto3==1\n")
    before = environment.fingerprint([tmp_path / "build.txt"], [])
    assert environment.fingerprint([tmp_path / "build.txt"], []) == before
    (tmp_path / "deploy.txt").write_text("boto3==2\n")
    assert environment.fingerprint([tmp_path / "build.txt"], []) != before


def test_another_wheel_of_the_same_version_takes_the_first_one_s_place(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, ".venv", "--no-deps", "workbench.txt"]
    for said in ("first", "second"):
        write_wheel(tmp_path, said)
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        python = next(tmp_path.glob(".venv/bin/python"), tmp_path / ".venv/Scripts/python.exe")
        shown = subprocess.run(
            [python, "-c", "import tool; print(tool.SAID)"], capture_output=True, text=True
        )
        assert shown.stdout == f"{said}\n", shown.stderr
    again = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert again.stdout == "", "what is up to date is left alone"
