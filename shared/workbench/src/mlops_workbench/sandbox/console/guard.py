"""What may ask for the page, and what its answers allow.

A page of the open internet may send requests to loopback, or rebind a name of its own to it. So the name that
is asked for must be loopback's, a foreign origin is refused, and only reading is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

_HOSTS = ("127.0.0.1", "localhost")


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
