"""Webhooks as Bitbucket sends them: signed when there is a secret, later than the push, and never twice."""

import contextlib
import hashlib
import hmac
import http.client
import json
import queue
import ssl
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# Bitbucket leaves a webhook alone for a while after so many failures in a row; here: for good.
FAILURES = 5


@dataclass(frozen=True)
class Delivery:
    """A request that was sent, and the answer: status 0 when there was none, and the reason in `answer`."""

    url: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer: str

    @property
    def event_key(self) -> str:
        """Which event it told of."""
        return self.headers["X-Event-Key"]


def sign(secret: str, body: bytes) -> str:
    """Return the X-Hub-Signature of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def request(event_key: str, payload: dict[str, Any], secret: str | None) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an event."""
    body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {
        "X-Event-Key": event_key,
        "X-Request-Id": str(uuid.uuid4()),
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Atlassian HttpClient / Bitbucket Data Center",
    }
    if secret:
        headers["X-Hub-Signature"] = sign(secret, body)
    return headers, body


class Sender:
    """Sends events from a thread of its own, one after the other.

    Args:
        resolve: where a host really is, e.g. {"abc.execute-api.ca-central-1.amazonaws.com": "http://127.0.0.1:5000"};
            the request keeps the host of the webhook's URL in its Host header.
        seconds: how long an answer may take.
    """

    def __init__(self, resolve: Mapping[str, str], seconds: float = 20.0) -> None:
        self.resolve = dict(resolve)
        self.deliveries: list[Delivery] = []
        self._seconds = seconds
        self._failures: dict[int, int] = {}
        self._waiting: queue.Queue[tuple[dict[str, Any], str, dict[str, Any]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="bitbucket-webhooks", daemon=True)
        self._thread.start()

    def post(self, webhook: dict[str, Any], event_key: str, payload: dict[str, Any]) -> None:
        """Send an event soon."""
        self._waiting.put((webhook, event_key, payload))

    def settle(self) -> None:
        """Wait until everything that was posted has been answered."""
        self._waiting.join()

    def stop(self) -> None:
        """Send what is waiting, and end."""
        self._waiting.put(None)
        self._thread.join(timeout=30)

    def send(self, url: str, headers: dict[str, str], body: bytes) -> Delivery:
        """Send a request now, and keep what came of it."""
        try:
            status, answer = self._exchange(url, headers, body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            status, answer = 0, f"{type(error).__name__}: {error}"
        made = Delivery(url, headers, body, status, answer)
        self.deliveries.append(made)
        return made

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            webhook, event_key, payload = item
            try:
                if self._failures.get(webhook["id"], 0) < FAILURES:
                    headers, body = request(event_key, payload, webhook["configuration"].get("secret"))
                    sent = self.send(webhook["url"], headers, body)
                    failed = not 200 <= sent.status < 300
                    self._failures[webhook["id"]] = self._failures.get(webhook["id"], 0) + 1 if failed else 0
            finally:
                self._waiting.task_done()
        self._waiting.task_done()

    def _exchange(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        asked = urlsplit(url)
        real = urlsplit(self.resolve.get(asked.netloc) or self.resolve.get(asked.hostname or "") or url)
        if not real.hostname:
            raise ValueError("expected a URL")
        connection: http.client.HTTPConnection
        if real.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(real.netloc, timeout=self._seconds, context=context)
        else:
            connection = http.client.HTTPConnection(real.netloc, timeout=self._seconds)
        path = asked.path + (f"?{asked.query}" if asked.query else "")
        with contextlib.closing(connection):
            connection.request("POST", path or "/", body, {"Host": asked.netloc, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
