"""Which commit a definition was built from."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

UNKNOWN = "unknown"


def commit(root: Path, environment: Mapping[str, str]) -> str:
    """The commit id of `root`, with `-dirty` when tracked files were changed since.

    CodeBuild gets an archive without history: `git archive` writes the commit into the file `.commit`
    (`.gitattributes`: export-subst). `GIT_COMMIT` in the environment comes before both.
    """
    if given := environment.get("GIT_COMMIT"):
        return given
    try:
        # -C root/.git's own folder: a repository further up is somebody else's
        if not (root / ".git").exists():
            return _of_archive(root / ".commit")
        head = _git(root, "rev-parse", "HEAD")
        return f"{head}-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def _of_archive(file: Path) -> str:
    """The commit that `git archive` wrote; unknown when nobody put one in the place of the format."""
    text = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else UNKNOWN


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True)
    return run.stdout.strip()
