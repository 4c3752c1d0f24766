"""Secrets Manager: a secret for each repository's webhook, and the token that reads from Bitbucket."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.event import is_repository

# A webhook's secret and its absence are kept for so long, and are read again sooner when a signature does not
# match: that is how a rotated secret and a new repository are seen. The pause bounds what a flood of bad
# signatures costs.
KEEP_SECONDS = 300.0
PAUSE_SECONDS = 2.0
CACHED_REPOSITORIES = 1000


class SecretUnusable(Exception):
    """A secret has no value, or not the fields that it should have; never says what it has."""


@dataclass(frozen=True)
class WebhookSecret:
    """What a repository's webhook signs with, and the project that its events must name."""

    secret: bytes
    project: str | None
    read_at: float


class WebhookSecrets:
    """The secrets of webhooks by the repository of the URL."""

    def __init__(self, client: Any, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._prefix = prefix
        self._clock = clock
        self._known: dict[str, WebhookSecret] = {}

    def of(self, repository: str) -> WebhookSecret:
        """Return the secret to check a signature with.

        A repository without one gets random bytes that nobody knows, so that "no such repository" and "bad
        signature" take the same way and give the same answer.

        Raises:
            SecretUnusable: the secret is not what `register` writes.
        """
        known = self._known.get(repository)
        if known and self._clock() - known.read_at < KEEP_SECONDS:
            return known
        return self._read(repository)

    def again(self, repository: str, used: WebhookSecret) -> WebhookSecret:
        """Return the secret as it is now, after a signature did not match `used`; `used` if that is fresh."""
        return used if self._clock() - used.read_at < PAUSE_SECONDS else self._read(repository)

    def _read(self, repository: str) -> WebhookSecret:
        document = read_json(self._client, self._prefix + repository) if is_repository(repository) else None
        if document is None:
            secret, project = os.urandom(32), None
        else:
            text, project = document.get("secret"), document.get("project")
            if not isinstance(text, str) or not text or not isinstance(project, str) or not project:
                raise SecretUnusable(f"{self._prefix}{repository}: expected JSON with secret and project")
            secret = text.encode()
        if len(self._known) >= CACHED_REPOSITORIES:
            self._known.clear()
        made = WebhookSecret(secret, project, self._clock())
        self._known[repository] = made
        return made


@dataclass(frozen=True)
class Token:
    """An HTTP access token with permission to read, and the authority that signed Bitbucket's certificate."""

    token: str
    ca_pem: str | None

    def __repr__(self) -> str:
        """Say what it is without saying it."""
        return "Token(…)"


def read_token(client: Any, secret_id: str) -> Token:
    """Read the token that a platform engineer has put in.

    Raises:
        SecretUnusable: nobody has yet, or it is not JSON with "token".
    """
    document = read_json(client, secret_id)
    if document is None:
        raise SecretUnusable(f'{secret_id}: no value yet; put in {{"token": "…"}}')
    token, ca_pem = document.get("token"), document.get("ca_pem")
    # A header is one line: what http.client would refuse later is said here.
    if (
        not isinstance(token, str)
        or not token.strip()
        or not token.strip().isascii()
        or "\n" in token.strip()
    ):
        raise SecretUnusable(f'{secret_id}: expected JSON with "token"')
    if ca_pem is not None and not isinstance(ca_pem, str):
        raise SecretUnusable(f"{secret_id}: ca_pem: expected certificates in PEM")
    return Token(token.strip(), ca_pem or None)


def read_json(client: Any, secret_id: str) -> dict[str, Any] | None:
    """Return a secret's value; None when there is no such secret, no value in it, or it is being deleted.

    Raises:
        SecretUnusable: the value is not a JSON object.
    """
    try:
        answer = client.get_secret_value(SecretId=secret_id)
    except (client.exceptions.ResourceNotFoundException, client.exceptions.InvalidRequestException):
        return None
    try:
        document = json.loads(answer.get("SecretString", ""))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        # Without `from`: the text that json quotes is the secret.
        raise SecretUnusable(f"{secret_id}: expected a JSON object")
    return document
