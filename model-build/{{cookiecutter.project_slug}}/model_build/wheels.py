"""The wheels that `serving.runtime: onnx` needs: pinned by hash, had from the package index, kept in .wheels/

SageMaker's images have neither onnx nor onnxruntime, and a job may have no way to a package index. The build
has one: it downloads what requirements/onnx.txt pins, one version of each package with one `--hash=sha256:…`
for each wheel that may be taken, and nothing else, whatever an index offers. The wheels lie beside train.py,
and the one that serves travels on in model.tar.gz.

The machine that asks may be another one (a laptop with Windows, CodeBuild with another Python), so pip is
always told interpreter and platform. Which index it asks, says its own configuration: PIP_INDEX_URL, …
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from configuration import UserError

from . import serving_image

FILE = "requirements/onnx.txt"
#: The hashes are those of the wheels for these, of which the images have one; the others are laptops'.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
IMAGES = "linux x86_64"
PLATFORMS = (IMAGES, "linux aarch64", "darwin arm64")

_CACHE = ".wheels"
_AT_A_TIME = 4  # pip waits for the index most of its time
_HASH = r"--hash=sha256:([0-9a-f]{64})"
_PIN = re.compile(rf"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+]+)(?P<hashes>(\s+{_HASH})*)$")
_MIRROR = "PIP_INDEX_URL=https://… takes it from a mirror"
_TORCH = "or set config/model.yaml: serving.runtime to torch"
_NO_VERSION = "(from versions: none)"
#: Where pip's errors name the package: no such version, another hash, no connection.
_ABOUT = (
    r"(?:satisfies the requirement|distribution found for) ([\w.-]+)=="
    r"|HASHES.*\n+\s+([\w.-]+)"
    r"|(?:connection broken by|Could not fetch URL) .*/([\w.-]+)/(?:$|:)"
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Interpreter:
    """A CPython.

    Attributes:
        version: such as 3.12.
        platform: such as "linux x86_64": what sys.platform and platform.machine() say.
    """

    version: str
    platform: str

    def __str__(self) -> str:
        return f"Python {self.version}, {self.platform}"


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


def fetch(root: Path, interpreter: Interpreter, say: Say) -> dict[str, Path]:
    """The pinned wheels for an interpreter, from .wheels/ or else from the package index: name -> file.

    None for one that no wheels are pinned for, as a laptop may have: PyTorch serves the model then.

    Raises:
        UserError: a pin is wrong, or its wheel cannot be had; the message says which and what to do.
    """
    wanted = read(root)
    if interpreter.version not in PYTHONS or interpreter.platform not in PLATFORMS:
        say(f"note: {FILE} has no wheels for {interpreter}, so that PyTorch will serve the model here")
        return {}
    folder = root / _CACHE / re.sub(r"[^\w.]+", "-", f"{interpreter.version} {interpreter.platform}")
    found = _present(folder, wanted)
    if missing := [pin for pin in wanted if pin not in found]:
        say(f"downloading the wheels of {FILE} for {interpreter}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            command = ["download", "--require-hashes", "--dest", fresh, "-r", str(root / FILE)]
            _pip(command, missing, interpreter, FILE)
            for wheel in Path(fresh).glob("*.whl"):
                wheel.replace(folder / wheel.name)  # whole or not at all, whoever else is at it
        found = _present(folder, wanted)
        if gone := [pin for pin in wanted if pin not in found]:
            raise UserError(f"{FILE}: {gone[0]}: expected its wheel in {folder}, found none")
        size = sum(path.stat().st_size for path in found.values())
        say(f"{len(found)} wheels, {size / 1e6:.1f} MB, each with its hash; they stay in {_CACHE}/")
    return {path.name: path for path in found.values()}


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
    pins = tuple(_parse(path.read_text(encoding="utf-8"), FILE))
    if not pins:
        raise UserError(f"{FILE}: expected packages as name==version with --hash=sha256:…, found none")
    for pin in pins:
        if not pin.hashes:
            raise UserError(
                f"{FILE}: {pin.name}=={pin.version}: expected --hash=sha256:… for each wheel, found none; "
                "`make pins` writes them"
            )
    return pins


def compare(root: Path, needed: Interpreter, *, check: bool) -> int:
    """Ask the index for the wheels of every version in the files; say what differs, and write it.

    Args:
        root: of the repository.
        needed: the images' interpreter: the packages must have a wheel for it; for others they may lack one.
        check: only say it; the exit status is 1 if anything differs.
    """
    if not (root / FILE).is_file():
        raise UserError(f"{FILE}: expected packages as name==version, found no such file")
    all_of_them = [Interpreter(version, platform) for platform in PLATFORMS for version in PYTHONS]
    status = _compare(root, FILE, all_of_them, needed, check=check)
    if (root / serving_image.PINS).is_file():  # the lean serving image has one Python
        own = Interpreter(serving_image.python(root / serving_image.FOLDER), IMAGES)
        status |= _compare(root, serving_image.PINS, [own], own, check=check)
    return status


def _compare(
    root: Path, file: str, interpreters: Sequence[Interpreter], needed: Interpreter, *, check: bool
) -> int:
    path = root / file
    text = path.read_text(encoding="utf-8")
    wanted = list(_parse(text, file))
    told = _told(wanted, interpreters, needed, file)
    differ = [each for each in wanted if told[each.name] != each.hashes]
    for each in differ:
        print(f"{each.name}=={each.version}")
        for sign, digests in (("-", each.hashes - told[each.name]), ("+", told[each.name] - each.hashes)):
            for digest in sorted(digests):
                print(f"  {sign} sha256:{digest}")
    if not differ:
        print(f"{file}: every hash is the one that the package index tells")
    elif check:
        print(f"{file}: - is in the file, + is what the package index tells")
    else:
        path.write_text(with_hashes(text, told), encoding="utf-8", newline="\n")
        print(f"wrote {file}")
    return 1 if check and differ else 0


def _told(
    wanted: list[Pin], interpreters: Sequence[Interpreter], needed: Interpreter, file: str
) -> dict[str, set[str]]:
    """What the index tells for all interpreters: name -> hashes. Only some may lack a wheel."""
    told: dict[str, set[str]] = {each.name: set() for each in wanted}
    kinds = "1 kind" if len(interpreters) == 1 else f"{len(interpreters)} kinds"
    print(f"asking the package index about {len(wanted)} packages, for {kinds} of Python")

    def ask(interpreter: Interpreter) -> dict[str, str]:
        try:
            return hashes(wanted, interpreter, file)
        except UserError as error:
            if interpreter == needed:
                raise
            print(f"note: {error}")
            return {}

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for found in pool.map(ask, interpreters):
            for name, digest in found.items():
                told[name].add(digest)
    return told


def hashes(wanted: list[Pin], interpreter: Interpreter, file: str) -> dict[str, str]:
    """What the index says is the SHA-256 of each package's wheel for an interpreter: name -> hash.

    Args:
        wanted: the packages.
        interpreter: that the wheels are for.
        file: that names them, for messages.

    Raises:
        UserError: the index does not answer, lacks a wheel, or tells no hash.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # Nothing is installed, and no wheel downloaded: an index tells hashes and metadata. Where the Python
        # is not pip's own, pip wants a --target.
        command = ["install", "--dry-run", "--ignore-installed", "--report", str(report), "--target", folder]
        _pip([*command, *(f"{pin.name}=={pin.version}" for pin in wanted)], wanted, interpreter, file)
        told = json.loads(report.read_text(encoding="utf-8"))
    found = {}
    for item in told["install"]:
        name, address = _normal(item["metadata"]["name"]), item["download_info"]["url"]
        if not address.endswith(".whl"):
            raise UserError(f"{file}: {name}: expected a wheel for {interpreter}, got {address}")
        try:
            found[name] = item["download_info"]["archive_info"]["hashes"]["sha256"]
        except KeyError:
            raise UserError(
                f"{file}: {name}: expected its SHA-256 from the index, got none for {address}; "
                f"ask one that tells hashes: {_MIRROR}"
            ) from None
    return found


def _parse(text: str, file: str) -> Iterable[Pin]:
    """The pins of a file's text, those without hashes too; `file` is its name, for messages.

    Raises:
        UserError: a line is not a pin.
    """
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        entry = _without_comment(line)
        if not entry:
            continue
        found = _PIN.match(entry)
        if found is None:
            raise UserError(f"{file}: expected name==version with --hash=sha256:…, got {entry[:80]!r}")
        yield Pin(_normal(found["name"]), found["version"], frozenset(re.findall(_HASH, found["hashes"])))


def with_hashes(text: str, told: Mapping[str, Iterable[str]]) -> str:
    """A file's text with these hashes (name -> SHA-256 of its wheels); comments and order stay."""
    lines = []
    for line in re.sub(r"\\\r?\n\s*", " ", text).splitlines():
        found = _PIN.match(_without_comment(line))
        if found is not None:
            entries = [f"--hash=sha256:{each}" for each in sorted(told[_normal(found["name"])])]
            line = " \\\n    ".join([f"{found['name']}=={found['version']}", *entries])
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s)#.*$", "", line).strip()


def _normal(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _present(folder: Path, wanted: Iterable[Pin]) -> dict[Pin, Path]:
    """The pins whose wheel is in the folder, with a content that was pinned: a name proves nothing."""
    found: dict[Pin, Path] = {}
    for path in sorted(folder.glob("*.whl")):
        name, version = path.name.split("-")[:2]
        for pin in wanted:
            same = (_normal(name), version) == (pin.name, pin.version)
            if same and pin not in found and _sha256(path) in pin.hashes:
                found[pin] = path
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pip(arguments: list[str], wanted: list[Pin], interpreter: Interpreter, file: str) -> None:
    """Run pip for the wheels of an interpreter.

    Raises:
        UserError: it failed.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    command += ["--no-deps", "--only-binary", ":all:", "--implementation", "cp"]
    command += ["--python-version", interpreter.version]
    command += [part for tag in _tags(interpreter.platform) for part in ("--platform", tag)]
    run = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if run.returncode:
        raise UserError(explained(run.stdout, wanted, interpreter, file))


def _tags(platform: str) -> list[str]:
    """The platforms of wheels that run there. pip knows that macOS 14 takes those of older ones, too."""
    system, machine = platform.split()
    if system == "darwin":
        return [f"macosx_14_0_{machine}"]
    # By versions of glibc (PEP 600). SageMaker's images have 2.35; wheels are built for older ones.
    return [*(f"manylinux_2_{minor}_{machine}" for minor in range(28, 16, -1)), f"manylinux2014_{machine}"]


def explained(said: str, wanted: list[Pin], interpreter: Interpreter, file: str) -> str:
    """What pip said, as one line that a person can act on."""
    if "No module named pip" in said:
        return f"{sys.executable}: expected pip, found none; run `make setup`"
    told = re.findall(_ABOUT, said, re.MULTILINE)
    names = {_normal(name) for groups in told for name in groups if name}
    about = [pin for pin in wanted if pin.name in names] or wanted  # all, if pip does not say
    packages = ", ".join(f"{pin.name}=={pin.version}" for pin in about)
    where = f"{file}: {packages}: expected a wheel for {interpreter}"
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
