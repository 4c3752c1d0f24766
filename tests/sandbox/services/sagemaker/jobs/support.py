"""What the tests of batch transform share: a model server in a few lines, which answers as a test says."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images

REGION, ROLE = "ca-central-1", "arn:aws:iam::111111111111:role/sandbox"
#: Loads answer.py out of the model: ``answer(body, headers) -> bytes or (status, bytes)``.
SERVER = """\
import http.server, os, sys
model = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml") + "/model"
sys.path.insert(0, model)
import answer
class Handler(http.server.BaseHTTPRequestHandler):
    def send(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.send(200, b"")
    def do_POST(self):
        given = answer.answer(self.rfile.read(int(self.headers["Content-Length"])), self.headers)
        self.send(*(given if isinstance(given, tuple) else (200, given)))
    def log_message(self, *ignored):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[1] + ".new", "w").write(str(server.server_port))
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
"""


def server_images(folder: Path) -> Images:
    """Return images of which each is the server above."""
    (folder / "server.py").write_text(SERVER)
    python = folder / "python"
    # The sandbox runs PYTHON SERVER_SCRIPT PORT_FILE; this "Python" runs a server of our own instead.
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/server.py" "$2"\n')
    python.chmod(0o755)
    return Images.single(python)


def make_model(
    sandbox: Sandbox, bucket: Any, make_archive: Callable[[dict[str, str]], bytes], code: str
) -> str:
    """Make a model of the code of answer.py; its name."""
    uri = bucket.put("model.tar.gz", make_archive({"answer.py": textwrap.dedent(code)}))
    container = {"Image": "any:latest", "ModelDataUrl": uri}
    sandbox.client("sagemaker").create_model(
        ModelName="model", PrimaryContainer=container, ExecutionRoleArn=ROLE
    )
    return "model"


def transform_request(bucket: Any, **changes: Any) -> dict[str, Any]:
    """Return a request for all under in/, by lines, to out/; given and taken change its input and output."""
    source = {"S3DataType": "S3Prefix", "S3Uri": bucket.uri("in/")}
    given = {
        "DataSource": {"S3DataSource": source}, "ContentType": "application/jsonlines", "SplitType": "Line"
    }  # fmt: skip
    taken = {"S3OutputPath": bucket.uri("out"), "Accept": "application/jsonlines", "AssembleWith": "Line"}
    return {
        "ModelName": "model",
        "TransformInput": {**given, **changes.pop("given", {})},
        "TransformOutput": {**taken, **changes.pop("taken", {})},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": changes.pop("instances", 1)},
        **changes,
    }


def json_lines(*values: object) -> str:
    """Return a JSON Lines file."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
