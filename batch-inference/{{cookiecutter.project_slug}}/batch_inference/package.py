"""The functions' code as one zip."""

from pathlib import Path

from release.code_archive import archive

#: folder -> where its files are in the zip. steps/: the function that begins a run gives it the steps' code.
FOLDERS = {"functions": "", "steps": "steps/", "watching": "watching/"}


def functions(root: Path) -> bytes:
    """Everything that the functions run.

    Raises:
        UserError: one of the folders has no Python file.
    """
    return archive(root, FOLDERS)
