"""The packages that an ONNX model needs, each of one version and known by its hashes: requirements/onnx.txt.

A requirements file of pip's: `name==version`, and one `--hash=sha256:…` for each wheel that may be taken.
Nothing else is ever downloaded, whatever an index offers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from configuration.errors import UserError

FILE = "requirements/onnx.txt"
#: The hashes are those of the wheels for these, of which the images have one; the others are laptops'.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
IMAGES = "linux x86_64"
PLATFORMS = (IMAGES, "linux aarch64", "darwin arm64")

_HASH = r"--hash=sha256:([0-9a-f]{64})"
_PIN = re.compile(rf"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+)(?P<hashes>(\s+{_HASH})*)$")


@dataclass(frozen=True)
class Pin:
    """One package.

    Attributes:
        name: as the index knows it, in small letters with hyphens.
        version: exactly this one.
        hashes: SHA-256 of every wheel that may be taken.
    """

    name: str
    version: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def read(root: Path) -> tuple[Pin, ...]:
    """The pins of a repository, in their order.

    Raises:
        UserError: the file is not there, or a line is not a pin with hashes.
    """
    path = root / FILE
    if not path.is_file():
        raise UserError(
            f"{FILE}: expected the pinned packages of serving.runtime onnx, found no such file; "
            "take it from the template, or set config/model.yaml: serving.runtime to torch"
        )
    pins = tuple(parse(path.read_text(encoding="utf-8")))
    if not pins:
        raise UserError(f"{FILE}: expected packages as name==version with --hash=sha256:…, found none")
    return pins


def parse(text: str, *, need_hashes: bool = True, file: str = FILE) -> Iterable[Pin]:
    """The pins of a file's text; `file` is its name, for messages.

    Raises:
        UserError: a line is not a pin, or has no hash where hashes are needed.
    """
    joined = re.sub(r"\\\r?\n", " ", text)
    for line in joined.splitlines():
        entry = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not entry:
            continue
        found = _PIN.match(entry)
        if found is None:
            raise UserError(f"{file}: expected name==version with --hash=sha256:…, got {entry[:80]!r}")
        hashes = frozenset(re.findall(_HASH, found["hashes"]))
        pin = Pin(normal(found["name"]), found["version"], hashes)
        if need_hashes and not hashes:
            raise UserError(
                f"{file}: {pin.name}=={pin.version}: expected --hash=sha256:… for each wheel, found none; "
                "`make pins` writes them"
            )
        yield pin


def with_hashes(text: str, hashes: Mapping[str, Iterable[str]]) -> str:
    """The file's text with these hashes (name -> SHA-256 of its wheels); comments and order stay."""
    lines = []
    for line in re.sub(r"\\\r?\n\s*", " ", text).splitlines():
        found = _PIN.match(re.sub(r"(^|\s)#.*$", "", line).strip())
        if found is not None:
            entries = [f"--hash=sha256:{each}" for each in sorted(hashes[normal(found["name"])])]
            line = " \\\n    ".join([f"{found['name']}=={found['version']}", *entries])
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
