"""Creates a virtual environment, or leaves it alone when it is up to date.

    python3 tools/environment.py .venv -r requirements/build.txt --no-deps requirements/base-model.txt

Standard library only: this runs before anything is installed. Up to date means: made by the same Python from the
same requirement files (and the same sources, for a line such as `./sandbox`).
"""

import argparse
import hashlib
import os
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the environment is, e.g. .venv")
    parser.add_argument("-r", dest="files", type=Path, action="append", default=[], help="a requirements file")
    parser.add_argument("--no-deps", type=Path, action="append", default=[], help="one without its dependencies")
    options = parser.parse_args()
    if sys.version_info < OLDEST:
        wanted, found = ".".join(map(str, OLDEST)), ".".join(map(str, sys.version_info[:3]))
        print(f"Python {wanted} or newer is needed, this is {found}: get it from https://python.org/downloads", file=sys.stderr)
        return 1

    stamp = options.folder / STAMP
    digest = fingerprint([*options.files, *options.no_deps])
    if stamp.is_file() and stamp.read_text() == digest:
        return 0
    print(f"{options.folder}: installing (a few minutes the first time)", flush=True)
    stamp.unlink(missing_ok=True)
    python = options.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(options.folder, with_pip=True)
    started = time.monotonic()
    for file, extra in [*((f, []) for f in options.files), *((f, ["--no-deps"]) for f in options.no_deps)]:
        status = install(python, file, extra)
        if status != 0:
            return status
    stamp.write_text(digest)
    print(f"{options.folder}: ready after {time.monotonic() - started:.0f} s", flush=True)
    return 0


def fingerprint(files: list[Path]) -> str:
    """SHA-256 over everything that decides what is installed."""
    whole = hashlib.sha256(sys.version.encode())
    for file in files:
        whole.update(file.read_bytes())
        for source in local_sources(file):
            whole.update(source.read_bytes())
    return whole.hexdigest()


def local_sources(requirements: Path) -> Iterator[Path]:
    """The files of packages that are installed from a folder (`./sandbox`), relative to where pip runs."""
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if line.startswith("./"):
            folder = Path(line.strip())
            yield from sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".toml"} and "build" not in p.parts)


def install(python: Path, file: Path, extra: list[str]) -> int:
    """Run pip; show what it does on one line that changes, and all of its last words if it fails."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *extra, "-r", str(file)]
    live = sys.stdout.isatty()
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            lines = [*lines[-40:], line.rstrip()]
            if live:
                print(f"\r\033[K  {line.strip()[:100]}", end="", flush=True)
    if live:
        print("\r\033[K", end="")
    if pip.returncode != 0:
        print("\n".join(lines), file=sys.stderr)
        print(f"pip could not install {file}; its last words are above", file=sys.stderr)
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main())
