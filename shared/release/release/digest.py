"""Whether two deployments were applied with the same Terraform files."""

import hashlib
from collections.abc import Sequence
from pathlib import Path


def terraform_digest(folder: Path, parts: Sequence[str]) -> str:
    """SHA-256 of the files in some folders below `folder`; what Terraform itself writes does not count."""
    whole = hashlib.sha256()
    for part in parts:
        for path in sorted((folder / part).rglob("*")):
            if path.suffix == ".tf" or path.name == ".terraform.lock.hcl":
                whole.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return whole.hexdigest()[:16]
