"""Whether a downloaded file is the archive of the commit that was asked for."""

import re
import zipfile
from typing import BinaryIO


class BadArchive(Exception):
    """The file is not a zip archive of the commit."""


def check(file: BinaryIO, commit: str) -> None:
    """Check that a file is a whole zip archive with files in it, of this commit where it says of which.

    `git archive` writes the commit's id into the comment of the zip. A server that makes archives another way
    leaves it out, and then there is nothing to compare.

    Raises:
        BadArchive: it is not.
    """
    file.seek(0)
    beginning = file.read(512).lstrip().lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        raise BadArchive(
            "expected a zip archive, got a web page, most likely a sign-in page: is the token valid?"
        )
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            names = [entry for entry in archive.infolist() if not entry.is_dir()]
            comment = archive.comment.decode("ascii", "replace")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadArchive(f"expected a zip archive, got something else: {error}") from error
    if damaged is not None:
        raise BadArchive(f"the zip archive is damaged: {damaged}")
    if not names:
        raise BadArchive("the zip archive has no files")
    if re.fullmatch(r"[0-9a-f]{40}", comment) and comment != commit:
        raise BadArchive(f"expected the archive of {commit}, got that of {comment}")
