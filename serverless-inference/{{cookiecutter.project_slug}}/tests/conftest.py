"""A configuration that tests may change, a server that stands for AWS, and a clock that nobody waits for."""

import importlib.util
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import boto3
import pytest

from serverless_inference.endpoint import Endpoint

ROOT = Path(__file__).parents[1]

# The configuration that tests change and break: theirs, so that config/endpoint.yaml may be edited freely.
CONFIGURATION = """\
model_package_group: email-router

staging:
  enabled: true
  endpoint_name: null
  memory_mb: 3072
  max_concurrency: 5
  provisioned_concurrency: null
  environment: {}
  alarms:
    error_percent: 1
    latency_p95_ms: 2000
    throttles: 0
    concurrency_percent: 80
  smoke_test: null

production:
  endpoint_name: null
  max_concurrency: 20

smoke_test:
  latency_ms: 1000
  cold_start_ms: 30000
  requests:
    - text: {subject: "Invoice", body: "You charged us twice."}
      label: billing
      minimum_score: 0.6
    - text: "Do we need a permit for a new elevator?"
      label: elevators
      minimum_score: 0.5
    - text: "The Ferris wheel comes on Monday."
      label: amusement_devices
"""

IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{account}:user/tester</Arn><UserId>AID</UserId><Account>{account}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""

ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASSUMED{number}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>{ends}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with the configuration that tests change."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    (tmp_path / "config/endpoint.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return tmp_path


@pytest.fixture
def edit(repository: Path) -> Callable[[str, str, str], None]:
    """Replaces text in a file of the copy, once; fails if the text is not there."""

    def replace(name: str, old: str, new: str) -> None:
        path = repository / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace


@pytest.fixture(scope="session")
def route_email() -> ModuleType:
    """The example consumer, which is a script and no part of a package."""
    spec = importlib.util.spec_from_file_location("route_email", ROOT / "examples/route_email.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Service:
    """SageMaker's runtime and STS, as far as these tests go.

    Attributes:
        account: whose credentials callers have.
        requests: the decoded bodies of what was asked, in order.
        model: text -> its labels, best first; may raise `Refusal`.
        model_answer: (text, top_k) -> the answer to it, where that is not a ranking of labels.
        refusals: what the next requests get instead of an answer.
        assumed: what roles were asked for with, in order.
        lifetime: seconds that credentials of a role last.
        callers: the access keys that asked who they are, or for a role.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.account = "111111111111"
        self.requests: list[dict[str, Any]] = []
        self.endpoints: list[str] = []
        self.refusals: list[Refusal] = []
        self.assumed: list[dict[str, str]] = []
        self.lifetime = 3600
        self.callers: list[str] = []
        self.model: Callable[[Any], list[tuple[str, float]]] = lambda text: [("billing", 0.9), ("gas", 0.1)]
        self.model_answer: Callable[[Any, int | None], Any] = self.ranking

    def sts(self, asked: dict[str, str], authorization: str) -> str:
        """Who the caller is, or credentials of a role."""
        self.callers.append(authorization.partition("Credential=")[2].partition("/")[0])
        if asked["Action"] == "GetCallerIdentity":
            return IDENTITY.format(account=self.account)
        self.assumed.append(asked)
        ends = datetime.now(UTC) + timedelta(seconds=self.lifetime)
        return ASSUMED.format(number=len(self.assumed), ends=f"{ends:%Y-%m-%dT%H:%M:%SZ}")

    def answer(self, endpoint: str, request: dict[str, Any]) -> Any:
        """What the model says about each text, in the form of steps/inference.py."""
        self.requests.append(request)
        self.endpoints.append(endpoint)
        if self.refusals:
            raise self.refusals.pop(0)
        top = request.get("parameters", {}).get("top_k")
        return [self.model_answer(text, top) for text in request["inputs"]]

    def ranking(self, text: Any, top: int | None) -> Any:
        """The best label, or with `top_k` the best ones."""
        labels = [{"label": label, "score": score} for label, score in self.model(text)]
        return labels[:top] if top else labels[0]


class Refusal(Exception):
    """An error in the form that AWS sends it."""

    def __init__(self, status: int, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.status, self.code = status, code
        self.body = {"Message": message, **members}


@pytest.fixture
def refusal() -> type[Refusal]:
    """The class of errors that the service can be told to answer with."""
    return Refusal


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that AWS clients of this process reach instead of AWS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # headers and body leave in one packet, else the client waits for the second

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/":  # STS takes forms
                form = dict(parse_qsl(body.decode()))
                self.reply(200, found.sts(form, self.headers["Authorization"]).encode())
                return
            endpoint = self.path.split("/")[2]
            try:
                self.reply(200, json.dumps(found.answer(endpoint, json.loads(body))).encode())
            except Refusal as error:
                self.reply(error.status, json.dumps(error.body).encode(), error.code)

        def reply(self, status: int, body: bytes, error: str = "") -> None:
            self.send_response(status)
            if error:
                self.send_header("x-amzn-ErrorType", error)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Service(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": found.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def endpoint(service: Service) -> Endpoint:
    """An endpoint of the service."""
    return Endpoint.of(boto3.Session(region_name="ca-central-1"), "email-router-staging")


class Clock:
    """Time that passes when somebody sleeps, and at no other moment.

    Attributes:
        now: seconds.
        naps: how long each sleep was.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        self.naps.append(seconds)
        self.now += seconds

    def read(self) -> float:
        """The time, whichever clock is asked."""
        return self.now

    perf_counter = monotonic = read


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, route_email: ModuleType) -> Clock:
    """The clock of those who ask the endpoint."""
    found = Clock()
    monkeypatch.setattr("serverless_inference.endpoint.time", found)
    monkeypatch.setattr(route_email, "time", found)
    return found
