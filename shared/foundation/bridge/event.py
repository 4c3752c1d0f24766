"""What a `repo:refs_changed` event says, and what of it becomes messages; which names are let through.

https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
"""

import json
import re
from dataclasses import asdict, dataclass
from typing import Any

# Bitbucket makes slugs of these characters; another, or a slash, never reaches a secret's name or a key.
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCHES = "refs/heads/"
# Amazon S3: a key is at most 1024 bytes of UTF-8.
KEY_BYTES = 1024
MOVED = ("ADD", "UPDATE")


def is_repository(text: object) -> bool:
    """Tell whether it can be the slug of a Bitbucket repository."""
    return isinstance(text, str) and _REPOSITORY.fullmatch(text) is not None


def is_commit(text: object) -> bool:
    """Tell whether it is a full commit id. Forty zeros stand for "no commit" in git, so they are none."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None and text != "0" * 40


def branch_of(ref: str) -> str | None:
    """Return a branch's name from its ref, exactly as it is; None when the ref is not a branch."""
    return ref.removeprefix(BRANCHES) or None if ref.startswith(BRANCHES) else None


def object_key(repository: str, branch: str) -> str:
    """Return the key of a branch's archive. Letters keep their case and a slash stays a slash.

    Raises:
        ValueError: the key is longer than Amazon S3 allows.
    """
    key = f"{repository}/{branch}.zip"
    if len(key.encode()) > KEY_BYTES:
        raise ValueError(f"branch: its object's key would be longer than {KEY_BYTES} bytes")
    return key


class MalformedEvent(ValueError):
    """The body is not an event of this kind; says which field, never its content."""


@dataclass(frozen=True)
class Message:
    """One branch that moved to one commit: the body of an SQS message."""

    repository: str
    project: str
    branch: str
    commit: str
    request_id: str

    def to_json(self) -> str:
        """Return the body of the SQS message."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Message":
        """Read the body of an SQS message.

        Raises:
            MalformedEvent: it is not one that `to_json` makes.
        """
        document = parse_object(text)
        names = ("repository", "project", "branch", "commit", "request_id")
        message = cls(**{name: _text(document, name, "message") for name in names})
        if not is_repository(message.repository):
            raise MalformedEvent("message.repository: expected the slug of a repository")
        if not is_commit(message.commit):
            raise MalformedEvent("message.commit: expected 40 hexadecimal digits")
        return message


@dataclass(frozen=True)
class Push:
    """A push: the repository that the body names, what to fetch, and what is left alone (ref and reason)."""

    repository: str
    project: str
    messages: tuple[Message, ...]
    ignored: tuple[tuple[str, str], ...]


def parse_object(body: str | bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        MalformedEvent: it is not JSON in UTF-8, or not an object.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("body: expected JSON") from error
    if not isinstance(document, dict):
        raise MalformedEvent("body: expected an object")
    return document


def parse_push(document: dict[str, Any], request_id: str) -> Push:
    """Read every entry of `changes`: branches that were made or moved, and the reason why others are ignored.

    Raises:
        MalformedEvent: a field is missing or is not what Bitbucket sends.
    """
    repository = _object(document, "repository", "event")
    slug = _text(repository, "slug", "repository")
    project = _text(_object(repository, "project", "repository"), "key", "repository.project")
    changes = document.get("changes")
    if not isinstance(changes, list):
        raise MalformedEvent("changes: expected a list")
    messages: list[Message] = []
    ignored: list[tuple[str, str]] = []
    for number, change in enumerate(changes):
        place = f"changes[{number}]"
        if not isinstance(change, dict):
            raise MalformedEvent(f"{place}: expected an object")
        ref = _text(_object(change, "ref", place), "id", f"{place}.ref")
        kind = _text(change, "type", place)
        branch = branch_of(ref)
        if branch is None:
            ignored.append((ref, "not a branch"))
        elif kind not in MOVED:
            ignored.append(
                (ref, "the branch was deleted" if kind == "DELETE" else "not an added or moved branch")
            )
        elif not is_commit(change.get("toHash")):
            raise MalformedEvent(f"{place}.toHash: expected 40 hexadecimal digits")
        else:
            try:
                object_key(slug, branch)
            except ValueError:
                ignored.append((ref, "no key of an object can be made of the name"))
            else:
                messages.append(Message(slug, project, branch, change["toHash"], request_id))
    return Push(slug, project, tuple(messages), tuple(ignored))


def _object(document: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise MalformedEvent(f"{place}.{name}: expected an object")
    return value


def _text(document: dict[str, Any], name: str, place: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedEvent(f"{place}.{name}: expected text")
    return value
