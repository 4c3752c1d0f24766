"""The real Hugging Face handler behind a loopback HTTP server, run by the image's Python.

    serve.py PORT_FILE

SageMaker's Hugging Face images serve with multi-model-server, a Java program that passes each request to
``HuggingFaceHandlerService`` of sagemaker-huggingface-inference-toolkit. This calls the same service with
the same context, without Java: /ping answers once the model is loaded, /invocations answers as
multi-model-server would. One request at a time, as one of its workers would.

MMS_DEFAULT_SERVICE_HANDLER=MODULE:FUNCTION names another service than the toolkit's, as it does for
multi-model-server, and then nothing of the toolkit is imported.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_MODEL_NAME = "model"
_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
#: Bytes: multi-model-server's own limit of a request and of an answer, unless these variables say otherwise.
_LIMIT = 6_553_500
_REQUEST_LIMIT, _ANSWER_LIMIT = "MMS_MAX_REQUEST_SIZE", "MMS_MAX_RESPONSE_SIZE"
#: MiB: batch transform sets it to MaxPayloadInMB, and the images' ``serve`` takes it for a request's limit.
_PAYLOAD = "SAGEMAKER_MAX_PAYLOAD_IN_MB"
_SERVICE = "MMS_DEFAULT_SERVICE_HANDLER"
#: The image's packages that serve; this machine's Python may lack them.
_IMAGE_HAS = ("mms", "sagemaker_huggingface_inference_toolkit")

Handle = Callable[[list[dict[str, Any]] | None, Any], list[Any]]
"""A service: takes the requests of a batch, here always one, and answers each; None has it load the model."""


def main(port_file: str) -> int:
    """Load the model, then serve until the process is ended."""
    model = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "model"
    if status := install_requirements(model):
        return status
    try:
        context = new_context(str(model))
        handle = custom_service(context) if os.environ.get(_SERVICE) else toolkit_service(context)
    except ModuleNotFoundError as error:
        if error.name not in _IMAGE_HAS:  # the model's own code lacks it: its traceback says where
            raise
        print(
            f"{sys.executable}: cannot serve: {error}; see the sandbox's README for what it needs",
            file=sys.stderr,
        )
        return 3
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_class(handle, context))
    temporary = Path(f"{port_file}.new")
    temporary.write_text(str(server.server_port))
    temporary.rename(port_file)
    server.serve_forever()
    return 0


def install_requirements(model: Path) -> int:
    """Install code/requirements.txt beside the environment, where the image installs it into its own."""
    requirements = model / "code" / "requirements.txt"
    if not requirements.is_file() or not requirements.read_text("utf-8").strip():
        return 0
    packages = str(model.parent / "packages")
    sys.path.append(packages)
    command = [sys.executable, "-m", "pip", "install", "--target", packages, "-r", str(requirements)]
    return subprocess.run(command, check=False).returncode


def new_context(model_dir: str) -> Any:
    """Return a context as a worker of multi-model-server makes it, for a machine without a GPU."""
    import mms
    from mms.context import Context

    return Context(_MODEL_NAME, model_dir, {}, 1, None, mms.__version__)


def toolkit_service(context: Any) -> Handle:
    """Load the model with the toolkit's service, and return what answers."""
    from sagemaker_huggingface_inference_toolkit.handler_service import HuggingFaceHandlerService

    service = HuggingFaceHandlerService()
    service.initialize(context)
    service.context = context
    handle: Handle = service.handle
    return handle


def custom_service(context: Any) -> Handle:
    """Load the model with the service that the environment names, and return what answers.

    multi-model-server's own way: a function that is called once without a request, to load the model.
    """
    module, _, function = os.environ[_SERVICE].partition(":")
    # the image has the model's code on its workers' PYTHONPATH
    sys.path.insert(0, str(Path(context.system_properties["model_dir"], "code")))
    handle: Handle = getattr(importlib.import_module(module.removesuffix(".py")), function or "handle")
    handle(None, context)
    return handle


def handler_class(handle: Handle, context: Any) -> type[BaseHTTPRequestHandler]:
    """Return the HTTP handler for a loaded service.

    Args:
        handle: the service; its model is loaded.
        context: that it was loaded with. multi-model-server puts each request into that one, and the
            model's functions that take a context have kept it.
    """
    from mms.context import RequestProcessor
    from mms.metrics.metrics_store import MetricsStore
    from mms.service import PredictionException

    one_at_a_time = threading.Lock()
    payload = int(os.environ.get(_PAYLOAD) or 0) * 1024 * 1024
    longest_request = int(os.environ.get(_REQUEST_LIMIT) or payload or _LIMIT)
    longest_answer = int(os.environ.get(_ANSWER_LIMIT) or _LIMIT)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/ping":
                self.answer(200, json.dumps({"status": "Healthy!"}).encode(), "application/json")
            else:
                self.refuse(404, "ResourceNotFoundException", "Requested resource is not found")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path != "/invocations":
                self.refuse(404, "ResourceNotFoundException", "Requested resource is not found")
                return
            if len(body) > longest_request:
                print(f"the request has {len(body)} bytes; {_REQUEST_LIMIT} is {longest_request}")
                self.answer(413, b"", "application/json")
                return
            request_id = str(uuid.uuid4())
            processor = RequestProcessor(dict(self.headers.items()))
            try:
                with one_at_a_time:
                    context.request_ids = {0: request_id}
                    context.metrics = MetricsStore(context.request_ids, _MODEL_NAME)
                    context.request_processor = [processor]
                    (response,) = handle([{"body": bytearray(body), "requestId": request_id}], context)
            except PredictionException as error:
                traceback.print_exc()
                self.refuse(error.error_code, "InternalServerException", error.message)
                return
            if not isinstance(response, str | bytes | bytearray):
                response = json.dumps(response, indent=2)
            response = response.encode() if isinstance(response, str) else bytes(response)
            if len(response) > longest_answer:
                print(f"Message size exceed limit: {len(response)}; {_ANSWER_LIMIT} is {longest_answer}")
                self.refuse(500, "InternalServerException", "Worker died.")
                return
            headers = processor.get_response_headers()
            kind = processor.get_response_header("content-type") or "application/json"
            self.answer(200, response, kind, headers.get(_CUSTOM_ATTRIBUTES))

        def answer(self, status: int, data: bytes, kind: str, attributes: str | None = None) -> None:
            """Send a whole answer."""
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if attributes:
                self.send_header(_CUSTOM_ATTRIBUTES, attributes)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def refuse(self, status: int, kind: str, message: str) -> None:
            """Send an error in multi-model-server's form."""
            body = json.dumps({"code": status, "type": kind, "message": message})
            self.answer(status, body.encode(), "application/json")

        def log_message(self, format: str, *args: Any) -> None:
            """Leave the log to the handler."""

    return Handler


if __name__ == "__main__":
    # This script's folder, which the model's code must not import from.
    del sys.path[0]
    sys.exit(main(sys.argv[1]))
