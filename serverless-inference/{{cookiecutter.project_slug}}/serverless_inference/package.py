"""The code of the functions that watch an endpoint (watching/), as one zip."""

from pathlib import Path

from release.code_archive import archive

FILE = "watching.zip"
"""In the build's folder, beside the record; Terraform takes it from there."""


def functions(root: Path) -> bytes:
    """Everything that the functions run.

    Raises:
        UserError: the folder has no Python file.
    """
    return archive(root, {"watching": "watching/"})
