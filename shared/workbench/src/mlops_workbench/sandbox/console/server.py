"""The page's server: a few addresses, GET only, to this machine only.

A page of the open internet may send requests to loopback, or rebind a name of its own to it. So the name
that is asked for must be loopback's, a foreign origin is refused, and only reading is answered.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

from werkzeug.serving import WSGIRequestHandler, make_server

from mlops_workbench.sandbox.console import content
from mlops_workbench.sandbox.loopback import LOOPBACK, free_port
from mlops_workbench.sandbox.organisation.overview import collect, recent_events
from mlops_workbench.sandbox.organisation.record import OBJECTS, Organisation

#: Seconds for which an overview is good: several pages that are open cost no more than one.
AGE = 0.8
logger = logging.getLogger("mlops_workbench.sandbox.console")
StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_HOSTS = ("127.0.0.1", "localhost")


class Page:
    """A running server; ``stop`` ends it. It has the organisation's address, if that is free."""

    def __init__(self, organisation: Organisation) -> None:
        self._organisation = organisation
        self._lock = threading.Lock()
        self._overview = b""
        self._collected = float("-inf")
        application = protect(self._answer, content.PAGE_POLICY)
        self._server = make_server(
            LOOPBACK, free_port(organisation.page), application, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="mlops-sandbox-page",
            daemon=True,
        )
        self._thread.start()
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/"

    def stop(self) -> None:
        """Accept no further request and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def overview(self) -> bytes:
        """Return the overview as JSON, no older than ``AGE``."""
        with self._lock:
            if time.monotonic() - self._collected > AGE:
                found = collect(self._organisation, recent_events)
                self._overview = json.dumps(content.as_json(found)).encode()
                self._collected = time.monotonic()
            return self._overview

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/":
            return _text(start_response, "200 OK", content.PAGE, "text/html")
        if path == "/overview.json":
            return _text(start_response, "200 OK", self.overview(), "application/json")
        if path == "/events.json":
            found = json.dumps([dataclasses.asdict(event) for event in recent_events()]).encode()
            return _text(start_response, "200 OK", found, "application/json")
        if path == "/log":
            query = parse_qs(environ.get("QUERY_STRING", ""))
            return self._log({name: values[0] for name, values in query.items()}, start_response)
        if path.startswith(OBJECTS):
            return self._object(path, start_response)
        return _text(start_response, "404 Not Found", b"there is nothing here\n", "text/plain")

    def _object(self, path: str, start_response: StartResponse) -> Iterable[bytes]:
        try:
            headers, body = content.read_object(self._organisation, path)
        except LookupError as error:
            return _text(start_response, "404 Not Found", f"{error.args[0]}\n".encode(), "text/plain")
        start_response("200 OK", headers)
        return body

    def _log(self, query: dict[str, str], start_response: StartResponse) -> Iterable[bytes]:
        try:
            lines = content.log_lines(
                self._organisation, query.get("kind", ""), query.get("account", ""), query.get("id", "")
            )
        except LookupError as error:
            return _text(start_response, "404 Not Found", f"{error.args[0]}\n".encode(), "text/plain")
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return _encoded(lines)


class _Quiet(WSGIRequestHandler):
    """Without a line in the log for each request: there is one each second."""

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log at debug level only."""
        logger.debug('"%s" %s', self.requestline, code)


def start(organisation: Organisation) -> Page:
    """Serve the page of an organisation, in a thread."""
    return Page(organisation)


def _encoded(lines: Iterator[str]) -> Iterator[bytes]:
    for line in lines:
        yield line.encode("utf-8", "replace") + b"\n"


def _text(start_response: StartResponse, status: str, body: bytes, kind: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


def protect(application: Application, content_security_policy: str) -> Application:
    """Refuse what is not a reading request of this machine, and put the protecting headers on each answer."""
    protecting = [
        ("Content-Security-Policy", content_security_policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ]

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def respond(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # An answer may have a policy of its own; two would both hold.
            given = {name for name, _ in headers}
            own = [header for header in protecting if header[0] not in given]
            return start_response(status, [*headers, *own], *rest)

        if not _allowed(environ):
            respond("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"only this machine's own page may ask\n"]
        if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            respond(
                "405 Method Not Allowed",
                [("Content-Type", "text/plain; charset=utf-8"), ("Allow", "GET, HEAD")],
            )
            return [b"this page changes nothing; use mlops-sandbox\n"]
        return application(environ, respond)

    return call


def _allowed(environ: dict[str, Any]) -> bool:
    host = environ.get("HTTP_HOST", "")
    name, _, port = host.partition(":")
    if name not in _HOSTS or port != environ.get("SERVER_PORT", ""):
        return False
    if environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin"):
        # A link on another page may lead here; nothing else on it may.
        return bool(environ.get("HTTP_SEC_FETCH_MODE") == "navigate" and environ.get("PATH_INFO") == "/")
    return bool(environ.get("HTTP_ORIGIN", f"http://{host}") == f"http://{host}")
