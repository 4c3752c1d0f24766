"""Runs a generated repository's own commands, away from AWS and from whoever runs the tests."""

import os
import subprocess
import sys
from pathlib import Path


def run(
    repository: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    away = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=repository,
        env={**kept, **away, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def passes_as_a_new_user(repository: Path) -> None:
    """Its own checks and tests, with nothing installed."""
    for target in ("check", "test", "lint"):
        done = subprocess.run(["make", target], cwd=repository, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
