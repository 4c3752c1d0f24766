"""A lock on Terraform's state that a build has left behind: removed, unless another build holds it."""

import json
import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from configuration.errors import UserError

from .aws import code, plain_errors
from .place import Place
from .terraform import Root

Say = Callable[[str], None]


def release_stale_lock(root: Root, place: Place, other_builds: Callable[[], list[str]], say: Say) -> None:
    """Removes the state's lock, unless another build of this environment runs: Terraform waits for that."""
    key = f"{place.state.key}.tflock"
    try:
        body = place.client("s3").get_object(Bucket=place.state.bucket, Key=key)["Body"].read()
    except ClientError as error:
        if code(error) in ("NoSuchKey", "404"):
            return
        raise UserError(f"s3://{place.state.bucket}/{key}: {error}") from error
    found = lock_id(body.decode("utf-8", "replace"))
    if found is None:
        return
    running = other_builds()
    if running:
        say(f"Terraform's state is locked, and {', '.join(running)} runs: waiting for it")
        return
    say(f"Terraform's state was left locked ({found}) by a build that is gone: the lock is removed")
    root.unlock(found)


def running_builds(codebuild: Any, project: str, own_id: str | None) -> list[str]:
    """The builds of a project that are not over, but for this one."""
    with plain_errors(f"CodeBuild project {project}"):
        ids = codebuild.list_builds_for_project(projectName=project, sortOrder="DESCENDING")["ids"][:20]
        others = [one for one in ids if one != own_id]
        builds = codebuild.batch_get_builds(ids=others)["builds"] if others else []
    return [build["id"] for build in builds if build["buildStatus"] == "IN_PROGRESS"]


def lock_id(text: str) -> str | None:
    """The id in a lock file of the S3 backend; None when it is none."""
    try:
        found = json.loads(text)["ID"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and re.fullmatch(r"[0-9a-f-]{36}", found) else None
