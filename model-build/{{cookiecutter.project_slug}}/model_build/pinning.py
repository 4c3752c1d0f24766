"""Compares the pinned hashes with those that the package index tells, and writes them.

Those of requirements/onnx.txt, and of the lean serving image.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from configuration.errors import UserError

from . import package_index, pins, serving_image
from .interpreters import Interpreter

_AT_A_TIME = 4  # pip waits for the index most of its time


def compare(root: Path, needed: Interpreter, *, check: bool) -> int:
    """Ask the index for the wheels of every version in the files; say what differs, and write it.

    Args:
        root: of the repository.
        needed: the images' interpreter: the packages must have a wheel for it; for others they may lack one.
        check: only say it; the exit status is 1 if anything differs.
    """
    if not (root / pins.FILE).is_file():
        raise UserError(f"{pins.FILE}: expected packages as name==version, found no such file")
    all_of_them = [Interpreter(version, platform) for platform in pins.PLATFORMS for version in pins.PYTHONS]
    status = _compare(root, pins.FILE, all_of_them, needed, check=check)
    if (root / serving_image.PINS).is_file():  # the lean serving image has one Python
        own = Interpreter(serving_image.python(root / serving_image.FOLDER), pins.IMAGES)
        status |= _compare(root, serving_image.PINS, [own], own, check=check)
    return status


def _compare(
    root: Path, file: str, interpreters: Sequence[Interpreter], needed: Interpreter, *, check: bool
) -> int:
    path = root / file
    text = path.read_text(encoding="utf-8")
    wanted = list(pins.parse(text, need_hashes=False, file=file))
    told = _ask(wanted, interpreters, needed, file)
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
        path.write_text(pins.with_hashes(text, told), encoding="utf-8", newline="\n")
        print(f"wrote {file}")
    return 1 if check and differ else 0


def _ask(
    wanted: list[pins.Pin], interpreters: Sequence[Interpreter], needed: Interpreter, file: str
) -> dict[str, set[str]]:
    """What the index tells for all interpreters: name -> hashes. Only some may lack a wheel."""
    told: dict[str, set[str]] = {each.name: set() for each in wanted}
    kinds = "1 kind" if len(interpreters) == 1 else f"{len(interpreters)} kinds"
    print(f"asking the package index about {len(wanted)} packages, for {kinds} of Python")

    def ask(interpreter: Interpreter) -> dict[str, str]:
        try:
            return package_index.hashes(wanted, interpreter, file)
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
