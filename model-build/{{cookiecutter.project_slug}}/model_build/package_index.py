"""What pip is asked for: the wheels of one Python on the images' platform, checked by their hashes.

The machine that asks may be another one (a laptop with Windows, CodeBuild with another Python), so both are
always named. Which index is asked, says pip's own configuration: PIP_INDEX_URL and the rest.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from configuration.errors import UserError

from . import pins
from .interpreters import Interpreter
from .pins import Pin

_MIRROR = "PIP_INDEX_URL=https://… takes it from a mirror"
#: Where pip's errors name the package: no such version, another hash, no connection.
_ABOUT = (
    r"(?:satisfies the requirement|distribution found for) ([\w.-]+)=="
    r"|HASHES.*\n+\s+([\w.-]+)"
    r"|(?:connection broken by|Could not fetch URL) .*/([\w.-]+)/(?:$|:)"
)
_NO_VERSION = "(from versions: none)"
_TORCH = "or set config/model.yaml: serving.runtime to torch"


def download(file: Path, wanted: Iterable[Pin], interpreter: Interpreter, folder: Path) -> None:
    """Put the wheels of `file`'s pins into `folder`; pip refuses whatever has another hash.

    Args:
        file: the requirements file.
        wanted: its pins, for the message if there is no answer.
        interpreter: that the wheels are for.
        folder: where they go.

    Raises:
        UserError: the index does not answer, lacks a wheel, or has one with another hash.
    """
    command = ["download", "--require-hashes", "--dest", str(folder), "-r", str(file)]
    _pip([*command, *_for(interpreter)], list(wanted), interpreter)


def hashes(wanted: Iterable[Pin], interpreter: Interpreter, pinned_in: str = pins.FILE) -> dict[str, str]:
    """What the index says is the SHA-256 of each package's wheel for an interpreter: name -> hash.

    Args:
        wanted: the packages.
        interpreter: that the wheels are for.
        pinned_in: the file that names them, for messages.

    Raises:
        UserError: the index does not answer, lacks a wheel, or tells no hash.
    """
    wanted = list(wanted)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # Nothing is installed, and no wheel downloaded: an index tells hashes and metadata. Where the Python
        # is not pip's own, pip wants a --target.
        command = ["install", "--dry-run", "--ignore-installed", "--report", str(report), "--target", folder]
        _pip(
            [*command, *_for(interpreter), *(f"{pin.name}=={pin.version}" for pin in wanted)],
            wanted,
            interpreter,
            pinned_in,
        )
        told = json.loads(report.read_text(encoding="utf-8"))
    found = {}
    for item in told["install"]:
        name, address = pins.normal(item["metadata"]["name"]), item["download_info"]["url"]
        if not address.endswith(".whl"):
            raise UserError(f"{pinned_in}: {name}: expected a wheel for {interpreter}, got {address}")
        try:
            found[name] = item["download_info"]["archive_info"]["hashes"]["sha256"]
        except KeyError:
            raise UserError(
                f"{pinned_in}: {name}: expected its SHA-256 from the index, got none for {address}; "
                f"ask one that tells hashes: {_MIRROR}"
            ) from None
    return found


def explained(said: str, wanted: list[Pin], interpreter: Interpreter, pinned_in: str = pins.FILE) -> str:
    """What pip said, as one line that a person can act on."""
    if "No module named pip" in said:
        return f"{sys.executable}: expected pip, found none; run `make setup`"
    where = f"{pinned_in}: {_packages(said, wanted)}: expected a wheel for {interpreter}"
    if "DO NOT MATCH THE HASHES" in said:
        got = re.search(r"Got\s+([0-9a-f]{64})", said)
        return (
            f"{where} with a hash of the file, got {f'sha256:{got[1]}' if got else 'another'}: the package "
            "index has another wheel than was pinned. Find out why; then `make pins` writes its hash"
        )
    if broken := re.search(
        r"connection broken by (.*): /|Could not fetch URL \S+: (.*)|(HTTP error \d.*)", said
    ):
        why = re.sub(r"^.*[>)]: ", "", next(filter(None, broken.groups()))).strip("'\")(")
        return f"{where}, the package index did not answer ({why[:200]}); {_MIRROR}, {_TORCH}"
    if "No matching distribution found" in said or "Could not find a version" in said:
        return (
            f"{where}, the package index has none{', or does not answer' if _NO_VERSION in said else ''}; "
            f"{_MIRROR}, or write another version and run `make pins`, {_TORCH}"
        )
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["it said nothing"]
    return f"{where}, pip failed: {last[0]}"


def _packages(said: str, wanted: list[Pin]) -> str:
    """The packages that pip's errors are about; all of them if they do not say."""
    told = re.findall(_ABOUT, said, re.MULTILINE)
    names = {pins.normal(name) for groups in told for name in groups if name}
    about = [pin for pin in wanted if pin.name in names] or wanted
    return ", ".join(f"{pin.name}=={pin.version}" for pin in about)


def _for(interpreter: Interpreter) -> list[str]:
    platforms = [part for tag in _tags(interpreter.platform) for part in ("--platform", tag)]
    only = ["--no-deps", "--only-binary", ":all:"]
    return [*only, "--implementation", "cp", "--python-version", interpreter.version, *platforms]


def _tags(platform: str) -> list[str]:
    """The platforms of wheels that run there. pip knows that macOS 14 takes those of older ones, too."""
    system, machine = platform.split()
    if system == "darwin":
        return [f"macosx_14_0_{machine}"]
    # By versions of glibc (PEP 600). SageMaker's images have 2.35; wheels are built for older ones.
    return [*(f"manylinux_2_{minor}_{machine}" for minor in range(28, 16, -1)), f"manylinux2014_{machine}"]


def _pip(
    arguments: list[str], wanted: list[Pin], interpreter: Interpreter, pinned_in: str = pins.FILE
) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    run = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if run.returncode:
        raise UserError(explained(run.stdout, wanted, interpreter, pinned_in))
