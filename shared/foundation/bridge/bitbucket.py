"""Bitbucket Data Center over HTTPS: the newest commit of a branch, and the archive of a commit.

The token goes to the one host of BITBUCKET_URL: the certificate is verified, and no redirect is followed.
Every wait is bounded. https://developer.atlassian.com/server/bitbucket/rest/
"""

import hashlib
import http.client
import ssl
import time
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from bridge.event import BRANCHES, MalformedEvent, parse_object
from bridge.secrets import Token

# Between two bytes. Bitbucket makes an archive while it sends it, so even a large one begins soon.
SOCKET_SECONDS = 20.0
CHUNK_BYTES = 64 * 1024
JSON_BYTES = 1024 * 1024
MISSING_COMMIT = "com.atlassian.bitbucket.commit.NoSuchCommitException"


class BitbucketError(Exception):
    """Bitbucket did not give what was asked for; the message says what a person can do."""


@dataclass(frozen=True)
class Head:
    """The newest commit of a branch."""

    commit: str
    message: str


class Bitbucket:
    """One Bitbucket, read with one token until a deadline.

    Args:
        url: where it is, https, with its context path if it has one.
        token: what to sign in with.
        deadline: when every request must be done, on the clock of `time.monotonic`.

    Raises:
        BitbucketError: the URL is not one to send a token to, or ca_pem holds no certificate.
    """

    def __init__(self, url: str, token: Token, deadline: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.query:
            raise BitbucketError("BITBUCKET_URL: expected https://HOST[:PORT][/CONTEXT]")
        self._host, self._port = parts.hostname, parts.port or 443
        self._root = parts.path.rstrip("/")
        self._token = token
        self._deadline = deadline
        try:
            # With an authority of the organisation's own, only that one is trusted.
            self._tls = ssl.create_default_context(cadata=token.ca_pem)
        except (ssl.SSLError, ValueError) as error:
            raise BitbucketError("ca_pem of the token's secret: expected certificates in PEM") from error

    def head(self, project: str, repository: str, branch: str) -> Head | None:
        """Return the newest commit of a branch, or None when there is no such branch any more.

        Raises:
            BitbucketError: there is no answer that says so.
        """
        query = {"until": BRANCHES + branch, "limit": 1}
        with self._get(self._path(project, repository, "commits", query)) as answer:
            body = answer.read(JSON_BYTES)
        if answer.status == 404 and MISSING_COMMIT in body.decode("utf-8", "replace"):
            return None
        self._expect_success(answer)
        try:
            values = parse_object(body).get("values")
            newest = values[0] if isinstance(values, list) and values else None
            if newest is None:
                return None
            head = Head(newest["id"], str(newest.get("message", "")))
        except (MalformedEvent, KeyError, TypeError, AttributeError) as error:
            raise BitbucketError("expected a list of commits in JSON, got something else") from error
        return head

    def download(self, project: str, repository: str, commit: str, into: BinaryIO, limit: int) -> bytes:
        """Stream the zip archive of a commit into a file, and return its SHA-256.

        Files are at the top of the archive, because no prefix is asked for.

        Raises:
            BitbucketError: Bitbucket refuses, is late, breaks off, sends a web page, or more bytes than
            `limit`.
        """
        path = self._path(project, repository, "archive", {"at": commit, "format": "zip"})
        digest, received = hashlib.sha256(), 0
        with self._get(path, accept="*/*") as answer:
            self._expect_success(answer)
            announced = answer.length
            while chunk := answer.read1(CHUNK_BYTES):
                received += len(chunk)
                if received > limit:
                    raise BitbucketError(
                        f"the archive of {commit} is larger than {limit} bytes (MAX_ARCHIVE_BYTES): "
                        "keep data and models out of the repository, or raise the limit"
                    )
                self._left()
                digest.update(chunk)
                into.write(chunk)
        if announced is not None and received != announced:
            raise BitbucketError(f"the archive broke off: expected {announced} bytes, got {received}")
        return digest.digest()

    def _path(self, project: str, repository: str, what: str, query: dict[str, object]) -> str:
        place = f"/rest/api/latest/projects/{quote(project, safe='~')}/repos/{quote(repository, safe='')}"
        return f"{self._root}{place}/{what}?{urlencode(query)}"

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise BitbucketError("Bitbucket is too slow: the time of this attempt is used up")
        return left

    def _get(self, path: str, accept: str = "application/json") -> "_Exchange":
        timeout = min(SOCKET_SECONDS, self._left())
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        headers = {"Authorization": f"Bearer {self._token.token}", "Accept": accept}
        return _Exchange(connection, path, headers)

    def _expect_success(self, answer: http.client.HTTPResponse) -> None:
        """Raise what a person can act on, unless the answer is a good one that is not a web page."""
        status = answer.status
        kind = answer.headers.get_content_type()
        if 300 <= status < 400:
            host = urlsplit(answer.headers.get("Location", "")).hostname or self._host
            raise BitbucketError(
                f"Bitbucket redirects ({status}) to {host}; the token is not taken there: is BITBUCKET_URL "
                "the address of Bitbucket itself, and not of a sign-in proxy?"
            )
        if status == 401:
            raise BitbucketError(
                "Bitbucket refuses the token (401): has it expired, may it read the repository?"
            )
        if status == 403:
            raise BitbucketError(
                "Bitbucket forbids it (403): the token needs permission to read the repository"
            )
        if status == 404:
            raise BitbucketError(
                "Bitbucket does not find it (404): is the repository still there under this name?"
            )
        if status == 429 or status >= 500:
            raise BitbucketError(f"Bitbucket is not able to answer now ({status})")
        if status != 200:
            raise BitbucketError(f"Bitbucket answers {status}, expected 200")
        if kind in ("text/html", "application/xhtml+xml"):
            raise BitbucketError(
                "Bitbucket answers with a web page, most likely a sign-in page: is the token valid, and is "
                "BITBUCKET_URL the address of Bitbucket itself?"
            )


class _Exchange:
    """One request on a connection of its own; network errors come out as BitbucketError."""

    def __init__(self, connection: http.client.HTTPSConnection, path: str, headers: dict[str, str]) -> None:
        self._connection, self._path, self._headers = connection, path, headers

    def __enter__(self) -> http.client.HTTPResponse:
        try:
            self._connection.request("GET", self._path, headers=self._headers)
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise _explained(error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, (OSError, http.client.HTTPException)):
            raise _explained(error) from error


def _explained(error: Exception) -> BitbucketError:
    """Return a network error in words that say where to look."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return BitbucketError(
            f"Bitbucket's certificate is not trusted ({error.verify_message}): put the authority that "
            "signed it into ca_pem of the token's secret"
        )
    if isinstance(error, TimeoutError):
        return BitbucketError("Bitbucket is too slow: no byte in time")
    return BitbucketError(f"no connection to Bitbucket: {type(error).__name__}")
