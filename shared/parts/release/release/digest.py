"""Whether two deployments were applied with the same Terraform files."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


def terraform_digest(folder: Path, parts: Sequence[str], code: bytes = b"") -> str:
    """SHA-256 of the files in some folders below `folder`; what Terraform itself writes does not count.

    Args:
        folder: with the folders.
        parts: their names.
        code: of functions, that Terraform deploys and that no other part of a record names.
    """
    whole = hashlib.sha256()
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.suffix == ".tf" or path.name == ".terraform.lock.hcl":
                whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    whole.update(code)
    return whole.hexdigest()[:16]
