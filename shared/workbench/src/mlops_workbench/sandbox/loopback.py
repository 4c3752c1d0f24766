"""moto as a WSGI server on loopback, in a thread."""

from __future__ import annotations

import json
import logging
import socket
import threading
import traceback
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from mlops_workbench.sandbox.gate import Gate
from mlops_workbench.sandbox.service import EXECUTE_API, Application, Service, StartResponse

LOOPBACK = "127.0.0.1"
logger = logging.getLogger("mlops_workbench.sandbox.loopback")


def free_port(url: str) -> int:
    """Return the port of an address on loopback if nobody has it now, else 0: the system chooses one."""
    port = urlsplit(url).port or 0
    with socket.socket() as probe:
        # As the server itself does: connections of an earlier one may still be closing.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return 0
    return port


class QuietHandler(MotoRequestHandler):
    """moto's request handler, without a line on the terminal for each request.

    An answer leaves in one piece, head and body. In two, on a busy machine, a client that had the head alone
    was seen to close the connection and to ask again for what had been done.
    """

    wbufsize = 65536

    def handle_expect_100(self) -> bool:
        """Say at once that a body may come: a client that hears nothing waits before it sends one."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log at debug level only."""
        logger.debug('"%s" %s', self.requestline, code)


class Server:
    """A running server; ``stop`` ends it. The system chooses the port unless it is given."""

    def __init__(self, gate: Gate, services: Sequence[Service], port: int = 0) -> None:
        application: Application = DomainDispatcherApplication(create_backend_app)
        for service in services:
            application = service.addresses(application)
        application = hold_gate(application, gate)
        for service in services:
            application = service.runtime(application)
        application = measured(answer_faults(refuse_browsers(application)))
        self._server = make_server(LOOPBACK, port, application, threaded=True, request_handler=QuietHandler)
        self._thread = threading.Thread(
            # Half a second, the default, would be added to every stop.
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="mlops-sandbox",
            daemon=True,
        )
        self._thread.start()
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"

    def stop(self) -> None:
        """Accept no further request and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def measured(application: Application) -> Application:
    """Say how long each answer is: without a length it would be sent in chunks, the last one late."""

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        heads: list[tuple[Any, ...]] = []
        parts = list(application(environ, lambda *head: heads.append(head)))
        status, headers, *rest = heads[-1]
        bodiless = environ["REQUEST_METHOD"] == "HEAD" or status[:3] in ("204", "304")
        if not bodiless and not any(name.lower() == "content-length" for name, _ in headers):
            headers = [*headers, ("Content-Length", str(sum(map(len, parts))))]
        start_response(status, headers, *rest)
        return parts

    return call


def hold_gate(application: Application, gate: Gate) -> Application:
    """Count each request in, so that no snapshot is taken in the middle of one."""

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        with gate.changing():
            return list(application(environ, start_response))

    return call


def refuse_browsers(application: Application) -> Application:
    """Answer 403 to what a web page in this machine's browser could send.

    The server runs code (pipelines, functions), and moto allows every origin. A page may send requests to
    loopback (they carry ``Origin``) or rebind a name of its own to it (``Host`` is that name). The names of
    HTTP APIs are let through: they are Amazon's, and no page can rebind them.
    """

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "").rsplit(":", 1)[0]
        here = (
            host in (LOOPBACK, "localhost")
            or host.endswith(".localhost")
            or EXECUTE_API.fullmatch(host) is not None
        )
        if "HTTP_ORIGIN" in environ or not here:
            return _error(
                environ, start_response, 403, "AccessDenied", "the sandbox does not answer web pages"
            )
        return application(environ, start_response)

    return call


def answer_faults(application: Application) -> Application:
    """Turn an exception into a 400, not a 500.

    Clients repeat a call that answered 500, for minutes; what moto cannot do, it cannot do the second time
    either.
    """

    def call(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        try:
            return application(environ, start_response)
        except NotImplementedError as error:
            message = f"the sandbox does not have this call: {error}"
            return _error(environ, start_response, 400, "UnknownOperationException", message)
        except Exception as error:
            logger.error("request failed:\n%s", traceback.format_exc())
            message = f"the sandbox failed: {type(error).__name__}: {error}"
            return _error(environ, start_response, 400, "InternalFailure", message)

    return call


def _error(
    environ: dict[str, Any], start_response: StartResponse, status: int, code: str, message: str
) -> Iterable[bytes]:
    """Answer in the protocol of the request: JSON, the query protocol's XML, or S3's."""
    content = environ.get("CONTENT_TYPE", "")
    if "json" in content or "HTTP_X_AMZ_TARGET" in environ:
        body, kind = json.dumps({"__type": code, "message": message}), "application/x-amz-json-1.1"
    elif "form-urlencoded" in content:
        error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        body, kind = f"<ErrorResponse>{error}</ErrorResponse>", "text/xml"
    else:
        body, kind = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>", "text/xml"
    headers = [("Content-Type", kind), ("x-amzn-ErrorType", code)]
    reason = {400: "Bad Request", 403: "Forbidden"}[status]
    start_response(f"{status} {reason}", headers)
    return [body.encode()]
