"""Bitbucket Cloud's side of a push: the script of a generated bitbucket-pipelines.yml, run in a clone."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml


def unsigned_token(**claims: Any) -> str:
    """Return an OpenID Connect token; the sandbox reads its claims and cannot verify a signature."""
    parts = [json.dumps(each).encode() for each in ({"alg": "RS256"}, claims)]
    encoded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "signature"])


def run_step(
    clone: Path, token: str, endpoint_url: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the script of the step for main as Bitbucket's runner does: the first line that fails ends it.

    Args:
        clone: of the repository, with a commit and no branch checked out.
        token: what Bitbucket gives the step.
        endpoint_url: of the sandbox, which stands for AWS.
        variables: of the repository.
    """
    document = yaml.safe_load((clone / "bitbucket-pipelines.yml").read_text(encoding="utf-8"))
    (item,) = document["pipelines"]["branches"]["main"]
    assert item["step"]["oidc"] is True
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BITBUCKET_"))}
    given = {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BITBUCKET_BRANCH": "main",
        "BITBUCKET_BUILD_NUMBER": "7",
        "BITBUCKET_STEP_OIDC_TOKEN": token,
    }
    return subprocess.run(
        ["bash", "-e", "-c", "\n".join(item["step"]["script"])],
        cwd=clone,
        env={**kept, **given, **variables},
        capture_output=True,
        text=True,
        timeout=600,
    )
