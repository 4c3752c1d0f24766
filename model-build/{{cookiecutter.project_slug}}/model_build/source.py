"""Which commit a definition was built from."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

UNKNOWN = "unknown"


def commit(root: Path, environment: Mapping[str, str]) -> str:
    """The commit id of `root`, with `-dirty` when tracked files were changed since.

    In CodeBuild the source is an archive without history: `GIT_COMMIT` says it there.
    """
    if given := environment.get("GIT_COMMIT"):
        return given
    try:
        # -C root/.git's own folder: a repository further up is somebody else's
        if not (root / ".git").exists():
            return UNKNOWN
        head = _git(root, "rev-parse", "HEAD")
        return f"{head}-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def _git(root: Path, *arguments: str) -> str:
    run = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()
