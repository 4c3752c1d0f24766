"""The functions' code as one zip: the same files give the same bytes, and no deployment."""

import io
import zipfile
from pathlib import Path

from configuration.errors import UserError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first time that a zip can tell


def functions(root: Path) -> bytes:
    """functions/ at the top, and steps/: the function that begins a run gives it the steps' code.

    Raises:
        UserError: one of the folders has no Python file.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, inside in (("functions", ""), ("steps", "steps/")):
            found = sorted((root / folder).glob("*.py"))
            if not found:
                raise UserError(f"{folder}/: expected Python files, found none; bring them back from git")
            for path in found:
                entry = zipfile.ZipInfo(f"{inside}{path.name}", _EPOCH)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # Unix, wherever this runs
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
