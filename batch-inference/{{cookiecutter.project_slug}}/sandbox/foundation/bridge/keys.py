"""Names: what may be a repository, a commit and a branch, and the key of the object that they lead to."""

import re
import unicodedata

# Bitbucket makes slugs of these characters; a slash or another character never reaches a secret's name or a
# key.
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
BRANCHES = "refs/heads/"
# Amazon S3: a key is at most 1024 bytes of UTF-8.
KEY_BYTES = 1024
# CodePipeline shows the summary as the revision's text; 2048 characters at most, and one line is enough.
SUMMARY_CHARACTERS = 200


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


def revision_summary(commit: str, message: str) -> str:
    """Return the commit and its subject in ASCII: metadata of an S3 object travels in HTTP headers."""
    subject = message.strip().partition("\n")[0]
    plain = unicodedata.normalize("NFKD", subject)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    plain = "".join(character if " " <= character <= "~" else "?" for character in plain)
    return f"{commit[:12]} {plain}".strip()[:SUMMARY_CHARACTERS].rstrip()
