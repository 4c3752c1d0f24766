"""Compares the hashes in requirements/onnx.txt with those that the package index tells, and writes them."""

from pathlib import Path

from configuration.errors import UserError

from . import package_index, pins


def compare(root: Path, needed: str, *, check: bool) -> int:
    """Ask the index for the wheels of every version in the file; say what differs, and write it.

    Args:
        root: of the repository.
        needed: the images' Python: the packages must have a wheel for it; for others they may lack one.
        check: only say it; the exit status is 1 if anything differs.
    """
    path = root / pins.FILE
    if not path.is_file():
        raise UserError(f"{pins.FILE}: expected packages as name==version, found no such file")
    text = path.read_text(encoding="utf-8")
    wanted = list(pins.parse(text, need_hashes=False))
    told: dict[str, set[str]] = {each.name: set() for each in wanted}
    for python in (needed, *(each for each in pins.PYTHONS if each != needed)):
        print(f"asking the package index for Python {python}")
        try:
            found = package_index.hashes(wanted, python)
        except UserError as error:
            if python == needed:
                raise
            print(f"note: {error}")
            continue
        for name, digest in found.items():
            told[name].add(digest)
    differ = [each for each in wanted if told[each.name] != each.hashes]
    for each in differ:
        print(f"{each.name}=={each.version}")
        for sign, digests in (("-", each.hashes - told[each.name]), ("+", told[each.name] - each.hashes)):
            for digest in sorted(digests):
                print(f"  {sign} sha256:{digest}")
    if not differ:
        print(f"{pins.FILE}: every hash is the one that the package index tells")
    elif check:
        print(f"{pins.FILE}: - is in the file, + is what the package index tells")
    else:
        path.write_text(pins.with_hashes(text, told), encoding="utf-8", newline="\n")
        print(f"wrote {pins.FILE}")
    return 1 if check and differ else 0
