"""Creates a virtual environment, or leaves it alone when it is up to date.

    python3 tools/environment.py .venv -r requirements/build.txt --no-deps requirements/workbench.txt

Standard library only: this runs before anything is installed. Up to date means: made by the same Python from
the same requirement files, those that they name, and packages. A wheel counts by its hash, which stands in
the file that names it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)
STAMP = ".requirements.sha256"


def main() -> int:
    """Create or refresh one environment; the exit status is pip's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the environment is, e.g. .venv")
    parser.add_argument(
        "-r", dest="files", type=Path, action="append", default=[], help="a requirements file"
    )
    parser.add_argument(
        "-e", dest="packages", type=Path, action="append", default=[], help="a package's folder"
    )
    parser.add_argument(
        "--no-deps", type=Path, action="append", default=[], help="a requirements file, alone"
    )
    options = parser.parse_args()
    if sys.version_info < OLDEST:
        wanted, found = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        print(
            f"Python {wanted} or newer is needed, this is {found}: see https://python.org/downloads",
            file=sys.stderr,
        )
        return 1

    stamp = options.folder / STAMP
    deciding = [
        *options.files,
        *options.no_deps,
        *(package / "pyproject.toml" for package in options.packages),
    ]
    digest = fingerprint(deciding, options.packages)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return 0
    print(f"{options.folder}: installing (a few minutes the first time)", flush=True)
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    python = options.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists() or made_by(options.folder) not in ("", platform.python_version()):
        venv.create(options.folder, with_pip=True, clear=options.folder.is_dir())
    requirements = [part for file in options.files for part in ("-r", str(file))]
    packages = [part for package in options.packages for part in ("-e", str(package))]
    # each alone: a hash in one file would be asked of every package of the command
    alone = (["--no-deps", *again(file), "-r", str(file)] for file in options.no_deps)
    for arguments in ([*requirements, *packages], *alone):
        if arguments and (status := install(python, arguments)) != 0:
            return status
    stamp.write_text(digest, encoding="utf-8", newline="\n")
    print(f"{options.folder}: ready after {time.monotonic() - started:.0f} s", flush=True)
    return 0


def fingerprint(files: list[Path], packages: list[Path]) -> str:
    """SHA-256 over everything that decides what is installed."""
    whole = hashlib.sha256(sys.version.encode())
    whole.update("".join(str(package.resolve()) for package in packages).encode())
    for file in files:
        for each in (file, *named_in(file)):
            whole.update(each.read_bytes())
    return whole.hexdigest()


def named_in(file: Path) -> Iterator[Path]:
    """The requirement files that one names (`-r deploy.txt`), and those that these name."""
    if file.suffix != ".txt":
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            inner = file.parent / line[3:].strip()
            yield inner
            yield from named_in(inner)


def again(file: Path) -> list[str]:
    """What makes pip install a wheel of this repository although it has one of the same version."""
    local = any(line.startswith("./") for line in file.read_text(encoding="utf-8").splitlines())
    return ["--force-reinstall"] if local else []


def made_by(folder: Path) -> str:
    """The version of the Python that an environment was made by; "" if that is not known."""
    path = folder / "pyvenv.cfg"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found = (line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "version")
    return next(found, "")


def install(python: Path, arguments: list[str]) -> int:
    """Run pip; show what it does on one line that changes, and its last words if it fails."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    live = sys.stdout.isatty()
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines = [*lines[-20:], line.rstrip()[:300]]
            if live:
                print(f"\r\033[K  {line.strip()[:100]}", end="", flush=True)
    if live:
        print("\r\033[K", end="")
    if pip.returncode != 0:
        print("\n".join(lines), file=sys.stderr)
        print(f"pip could not install {' '.join(arguments)}; its last words are above", file=sys.stderr)
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main())
