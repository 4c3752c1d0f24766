"""What the tests of pipelines share; the module ``documents`` beside it makes definitions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.waiting import wait_for

# pytest imports tests without putting their folder on the path (import mode "importlib").
sys.path.insert(0, str(Path(__file__).parent))

from documents import BUCKET, ROLE, text

SERVER = """\
import http.server, os, sys
class Shout(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).upper())
server = http.server.HTTPServer(("127.0.0.1", 0), Shout)
open(sys.argv[1] + ".new", "w").write(str(server.server_port))
os.replace(sys.argv[1] + ".new", sys.argv[1])  # whoever looks finds no file, or a whole one
server.serve_forever()
"""
FINAL = ("Succeeded", "Failed", "Stopped")


@pytest.fixture(scope="session")
def images_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox.toml that maps the tests' image to this Python, and another one to a server that shouts."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "server.py").write_text(SERVER)
    server = folder / "python"
    # The sandbox runs PYTHON SERVER_SCRIPT PORT_FILE; this "Python" runs a server of our own instead.
    server.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/server.py" "$2"\n')
    server.chmod(0o755)
    path = folder / "sandbox.toml"
    path.write_text(
        f'[[image]]\nmatch = "example.test/tiny"\npython = "{sys.executable}"\n'
        f'[[image]]\nmatch = "example.test/server"\npython = "{server}"\n'
    )
    return path


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, images_file: Path) -> Iterator[Sandbox]:
    """An open sandbox with the tests' bucket in it."""
    folder = tmp_path_factory.mktemp("sandbox")
    with Sandbox(folder, images=Images.load(images_file)) as opened:
        make_bucket(opened)
        yield opened


def make_bucket(sandbox: Sandbox) -> None:
    """Create the bucket that the tests' definitions write to."""
    place = {"LocationConstraint": sandbox.region}
    sandbox.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)


@dataclass
class Running:
    """An execution as boto3 sees it."""

    client: Any
    arn: str

    def describe(self) -> dict[str, Any]:
        """Return DescribePipelineExecution's answer."""
        answer: dict[str, Any] = self.client.describe_pipeline_execution(PipelineExecutionArn=self.arn)
        return answer

    @property
    def status(self) -> str:
        """Return the execution's status."""
        return str(self.describe()["PipelineExecutionStatus"])

    @property
    def reason(self) -> str:
        """Return the execution's failure reason, or ""."""
        return str(self.describe().get("FailureReason", ""))

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """Return the steps by name, in the order in which they began."""
        pages = self.client.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=self.arn, SortOrder="Ascending"
        )
        return {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}

    def statuses(self) -> dict[str, str]:
        """Return each step's status."""
        return {name: step["StepStatus"] for name, step in self.steps.items()}

    def wait(self) -> Running:
        """Wait for the end."""
        self.until(lambda: self.status in FINAL)
        return self

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        wait_for(condition, lambda: (self.status, self.reason, self.statuses()))

    def stop(self) -> None:
        """Call StopPipelineExecution."""
        self.client.stop_pipeline_execution(PipelineExecutionArn=self.arn)


Start = Callable[..., Running]


@pytest.fixture
def start(sandbox: Sandbox, request: pytest.FixtureRequest) -> Start:
    """Starts a definition as the pipeline of this test; keywords are parameters."""
    client = sandbox.client("sagemaker")
    name = "".join(c if c.isalnum() else "-" for c in request.node.name).strip("-")[:200].replace("--", "-")

    def run(definition: dict[str, Any], parallelism: int | None = None, **parameters: str) -> Running:
        body = {
            "PipelineName": name.replace("--", "-"),
            "PipelineDefinition": text(definition),
            "RoleArn": ROLE,
        }
        try:
            client.create_pipeline(**body)
        except client.exceptions.ClientError as error:
            if "already exists" not in str(error):
                raise
            client.update_pipeline(**body)
        limit = (
            {"ParallelismConfiguration": {"MaxParallelExecutionSteps": parallelism}} if parallelism else {}
        )
        given = [{"Name": key, "Value": value} for key, value in parameters.items()]
        answer = client.start_pipeline_execution(
            PipelineName=body["PipelineName"], PipelineParameters=given, **limit
        )
        return Running(client, answer["PipelineExecutionArn"])

    return run


@pytest.fixture
def run(start: Start) -> Start:
    """Starts a definition and waits for its end."""

    def run_to_end(definition: dict[str, Any], **more: Any) -> Running:
        return start(definition, **more).wait()

    return run_to_end
