"""The code of Lambda functions as one zip: the same files give the same bytes, and no deployment."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from configuration.errors import UserError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell


def archive(root: Path, folders: Mapping[str, str]) -> bytes:
    """The Python files of some folders.

    Args:
        root: the repository's top folder.
        folders: folder of the repository -> where its files are in the zip, such as `steps/`; "": its top.

    Raises:
        UserError: one of the folders has no Python file.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, inside in folders.items():
            found = sorted((root / folder).glob("*.py"))
            if not found:
                raise UserError(f"{folder}/: expected Python files, found none; bring them back from git")
            for path in found:
                entry = zipfile.ZipInfo(f"{inside}{path.name}", _EPOCH)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # Unix, wherever this runs
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
