"""Packs the Lambda functions' code: the same files give the same bytes, on every machine and every day.

    python3 package.py

writes ``build/bridge.zip``, which Terraform uploads, and ``build/bridge.sources``, by which Terraform notices
that the code has changed since. Nothing is compressed: different versions of zlib give different bytes.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "bridge"
BUILD = HERE / "build"


def source_files(package: Path) -> list[Path]:
    """Return the Python files of a package, in an order that no file system decides."""
    return sorted(package.rglob("*.py"), key=lambda path: path.relative_to(package).as_posix())


def fingerprint(package: Path) -> str:
    """Return a SHA-256 over the names and contents of a package, as ``locals`` in bridge.tf computes it."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(package).as_posix()}"
        for path in source_files(package)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def pack(package: Path, archive: Path) -> None:
    """Write a zip with a package in it: fixed times and modes, sorted, stored."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in source_files(package):
            name = (Path(package.name) / path.relative_to(package)).as_posix()
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever this runs: the mode below means nothing otherwise
            entry.external_attr = 0o644 << 16
            file.writestr(entry, path.read_bytes())


def main() -> int:
    """Pack the bridge; say so."""
    if not source_files(PACKAGE):
        print(f"{PACKAGE}: expected the bridge's Python files, found none", file=sys.stderr)
        return 1
    archive = BUILD / "bridge.zip"
    pack(PACKAGE, archive)
    (BUILD / "bridge.sources").write_text(fingerprint(PACKAGE) + "\n", encoding="ascii")
    print(f"wrote {archive} ({archive.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
