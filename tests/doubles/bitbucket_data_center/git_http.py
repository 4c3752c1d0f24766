"""git's smart HTTP, answered by git itself: `git http-backend` is a CGI program."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from bitbucket_data_center.store import Repository


@dataclass(frozen=True)
class CgiAnswer:
    """What the program answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def is_push(path: str, query: str) -> bool:
    """Tell whether a request is part of a push."""
    return path.endswith("/git-receive-pack") or "service=git-receive-pack" in query


def run(
    repository: Repository, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> CgiAnswer:
    """Let `git http-backend` answer a request; `path` is what follows the repository in the URL."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROJECT_ROOT": str(repository.folder.parent),
        "PATH_INFO": f"/{repository.folder.name}{path}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
        "REMOTE_USER": "tester",
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
    )
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    status, sent = 200, []
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(": ")
        if name == "Status":
            status = int(value.split()[0])
        elif name:
            sent.append((name, value))
    if not head:
        return CgiAnswer(500, [("Content-Type", "text/plain")], done.stderr)
    return CgiAnswer(status, sent, answer)
