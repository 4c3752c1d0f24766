"""The whole server of the lean image: /ping and /invocations over a model's own ``code/inference.py``.

    server.py [serve] [--host 0.0.0.0] [--port 8080]

SageMaker's Hugging Face image imports PyTorch and transformers twice and starts Java before a model is asked
for its first answer. This process imports the standard library and what ``inference.py`` does, and gives the
answers that the image's toolkit gives: the same four functions, the same bytes, the same status and message
(``tests/model_build/test_serving_image.py`` of the collection holds that).

The model lies in ``/opt/ml/model`` (``SAGEMAKER_BASE_DIR`` is the folder above). ``SAGEMAKER_BIND_TO_PORT``
is the port, ``SAGEMAKER_PROGRAM`` the script, ``SAGEMAKER_MAX_PAYLOAD_IN_MB`` or ``MMS_MAX_REQUEST_SIZE`` the
largest request, as there. The port is open before the model is loaded: whoever asks early waits and is not
refused. One request is answered at a time, with all the threads that the runtime has, and ``/ping`` at once.
On SIGTERM no connection is taken any more, and what is being answered is finished.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

LIMIT = 6_553_500
"""Bytes of a request, if nothing else is said: the limit of the image's model server."""

TEXT_TYPES = ("application/json", "text/csv")
"""What the toolkit decodes before it asks ``input_fn``."""

PATIENCE = 25.0
"""Seconds to finish what is being answered; SageMaker kills 30 seconds after SIGTERM."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        The exit status: 0, or 1 when the model cannot be loaded, which the log explains.
    """
    options = parse(arguments)
    server = Server((options.host, options.port), Handler)
    print(f"listening on port {server.server_address[1]}", flush=True)
    try:
        server.model = Model.load(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model")
    except Exception:
        traceback.print_exc()
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)
    server.finish(PATIENCE)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; SageMaker starts an image with ``serve``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("command", nargs="?", choices=["serve"], default="serve")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080)
    parser.add_argument("--port", type=int, default=port, help="0 for any free one")
    return parser.parse_args(arguments)


def request_limit() -> int:
    """Bytes that a request may have; batch transform says its MaxPayloadInMB."""
    payload = int(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or 0) * 1024 * 1024
    return int(os.environ.get("MMS_MAX_REQUEST_SIZE") or payload or LIMIT)


class Model:
    """A loaded model with its four functions."""

    def __init__(self, functions: Any, loaded: Any) -> None:
        self._functions, self._loaded = functions, loaded
        self._one_at_a_time = threading.Lock()

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Import the model's code and have it load the model."""
        sys.path.insert(0, str(folder / "code"))
        name = (os.environ.get("SAGEMAKER_PROGRAM") or "inference.py").removesuffix(".py")
        functions = importlib.import_module(name)
        return cls(functions, functions.model_fn(str(folder)))

    def answer(self, body: bytes, content_type: str | None, accept: str | None) -> tuple[str, bytes]:
        """Answer a request as the toolkit's handler would.

        Returns:
            The answer's content type, and the answer.

        Raises:
            Exception: whatever the model's functions raise; its text is for the client.
        """
        accept = accept if accept and accept != "*/*" else "application/json"
        data = body.decode("utf-8") if content_type in TEXT_TYPES else body
        with self._one_at_a_time:
            request = self._functions.input_fn(data, content_type)
            answer = self._functions.output_fn(self._functions.predict_fn(request, self._loaded), accept)
        return accept, answer.encode() if isinstance(answer, str) else bytes(answer)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread for each connection. http.server's own looks up the host's name before it listens."""

    allow_reuse_address = True
    daemon_threads = True  # a connection that is kept open does not keep the process
    request_queue_size = 128
    model: Model

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.limit = request_limit()
        self.stopping = False
        self._answering, self._idle = 0, threading.Condition()

    def __enter__(self) -> Server:
        return self

    def begin(self) -> None:
        """A request has arrived."""
        with self._idle:
            self._answering += 1

    def end(self) -> None:
        """It has been answered."""
        with self._idle:
            self._answering -= 1
            self._idle.notify_all()

    def shutdown(self) -> None:
        """Take no more connections, and end those that are open with their next answer."""
        self.stopping = True
        super().shutdown()

    def finish(self, patience: float) -> None:
        """Close the port and wait, so many seconds at most, until everything is answered."""
        self.server_close()
        with self._idle:
            self._idle.wait_for(lambda: not self._answering, timeout=patience)


class Handler(BaseHTTPRequestHandler):
    """The two paths of SageMaker's contract."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    timeout = 75  # seconds until a silent connection is closed; /invocations may take 60

    def do_GET(self) -> None:
        """/ping: the model is loaded, else nobody would be here to answer."""
        if self.path == "/ping":
            self._answer(200, "application/json", b'{"status": "Healthy!"}')
        else:
            self._refuse(404, "ResourceNotFoundException", "Requested resource is not found")

    def do_POST(self) -> None:
        """/invocations: answered, or refused with the model's own words."""
        self.server.begin()
        try:
            self._invoke()
        finally:
            self.server.end()

    def _invoke(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            self._refuse(411, "LengthRequiredException", "expected a Content-Length, the body's bytes")
            return
        body = self._body(int(length))
        if self.path != "/invocations":
            self._refuse(404, "ResourceNotFoundException", "Requested resource is not found")
        elif body is None:
            print(
                f"refused: the request has {length} bytes, at most {self.server.limit} are taken", flush=True
            )
            self._answer(413, "application/json", b"")
        else:
            self._infer(body)

    def _infer(self, body: bytes) -> None:
        began = time.perf_counter()
        try:
            kind, answer = self.server.model.answer(
                body, self.headers.get("Content-Type"), self.headers.get("Accept")
            )
        except Exception as error:  # every one is the client's, as in the toolkit
            if isinstance(error, ValueError):
                print(f"refused: {error}", flush=True)
            else:
                traceback.print_exc()
            self._refuse(400, "InternalServerException", str(error))
            return
        print(f"answered {len(body)} bytes in {1000 * (time.perf_counter() - began):.1f} ms", flush=True)
        self._answer(200, kind, answer)

    def _body(self, length: int) -> bytes | None:
        """The request's body; None when it is too long: then it is read past, so that the answer arrives."""
        if length <= self.server.limit:
            return self.rfile.read(length)
        while length > 0 and (part := self.rfile.read(min(length, 1 << 16))):
            length -= len(part)
        return None

    def _refuse(self, status: int, kind: str, message: str) -> None:
        body = json.dumps({"code": status, "type": kind, "message": message})
        self._answer(status, "application/json", body.encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.close_connection |= self.server.stopping
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Leave the log to the answers: a line for each /ping would hide them."""


if __name__ == "__main__":
    sys.exit(main())
