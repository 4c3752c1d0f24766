"""The lean image's server as a process, with a model of a few lines.

Its answers beside those of the real handler, with a real model: test_inference_handler.py.
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

SERVER = (
    Path(__file__).resolve().parents[2] / "model-build/{{cookiecutter.project_slug}}/serving_image/server.py"
)
MODEL = """
import time
from pathlib import Path

def model_fn(model_dir):
    return Path(model_dir)

def input_fn(data, content_type):
    if content_type != "application/json":
        raise ValueError(f"content type: expected application/json, got {content_type}")
    return data

def predict_fn(data, model):
    if data == "slow":
        (model / "begun").touch()
        while not (model / "go").exists():
            time.sleep(0.01)
    if data == "broken":
        raise KeyError("weights")
    return data[::-1]

def output_fn(answer, accept):
    return answer
"""


@contextmanager
def started(folder: Path, code: str = MODEL, **variables: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server with a model's code; its process and its port."""
    (folder / "model/code").mkdir(parents=True)
    (folder / "model/code/inference.py").write_text(code)
    command = [sys.executable, str(SERVER), "serve", "--host", "127.0.0.1"]
    environment = {"SAGEMAKER_BASE_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": "0", **variables}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout
            yield process, int(process.stdout.readline().removeprefix("listening on port "))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that takes requests of 100 bytes."""
    with started(tmp_path_factory.mktemp("server"), MMS_MAX_REQUEST_SIZE="100") as (_, port):
        yield port


def post(port: int, body: bytes, path: str = "/invocations", **headers: str) -> tuple[int, bytes]:
    """Status and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_answers_with_the_models_functions_and_keeps_the_connection(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/ping")
    ping = connection.getresponse()
    assert (ping.status, json.loads(ping.read())) == (200, {"status": "Healthy!"})
    local = connection.sock.getsockname()
    for word in (b"lift", b"card"):
        connection.request("POST", "/invocations", word, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, word[::-1])
    assert connection.sock.getsockname() == local


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"a", "text/plain", 400, "content type: expected application/json, got text/plain"),
        (b"broken", "application/json", 400, "'weights'"),
        (b"\xff", "application/json", 400, "'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_what_a_model_refuses_is_answered_with_its_words(
    port: int, body: bytes, kind: str, status: int, message: str
) -> None:
    found, answer = post(port, body, **{"Content-Type": kind})
    assert found == status and json.loads(answer)["message"].startswith(message)


def test_a_request_above_the_limit_is_refused_and_the_next_one_is_answered(port: int) -> None:
    assert post(port, b"x" * 100)[0] == 200
    assert post(port, b"x" * 101) == (413, b"")
    assert post(port, b"y" * 3_000_000) == (413, b"")
    assert post(port, b"ab") == (200, b"ba")


def test_other_paths_and_a_body_of_unknown_length_are_refused(port: int) -> None:
    assert post(port, b"a", "/models")[0] == 404
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(b"POST /invocations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 411 ")


def test_ping_is_answered_while_a_request_is(tmp_path: Path) -> None:
    with started(tmp_path) as (_, port), ThreadPoolExecutor() as pool:
        slow = pool.submit(post, port, b"slow")
        wait_until((tmp_path / "model/begun").exists)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
        assert not slow.done()
        (tmp_path / "model/go").touch()
        assert slow.result() == (200, b"wols")


def test_who_asks_before_the_model_is_loaded_waits(tmp_path: Path) -> None:
    loads = MODEL.replace(
        "return Path(model_dir)", "predict_fn('slow', Path(model_dir))\n    return model_dir"
    )
    with started(tmp_path, loads) as (_, port), ThreadPoolExecutor() as pool:
        early = pool.submit(post, port, b"ab")
        wait_until((tmp_path / "model/begun").exists)
        assert not early.done()
        (tmp_path / "model/go").touch()
        assert early.result() == (200, b"ba")


def test_sigterm_closes_the_port_and_finishes_what_is_being_answered(tmp_path: Path) -> None:
    with started(tmp_path) as (process, port), ThreadPoolExecutor() as pool:
        slow = pool.submit(post, port, b"slow")
        wait_until((tmp_path / "model/begun").exists)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_open(port))
        assert process.poll() is None
        (tmp_path / "model/go").touch()
        assert slow.result() == (200, b"wols")
        assert process.wait(20) == 0


def is_open(port: int) -> bool:
    """Whether the port takes connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, 20 seconds at most."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_model_that_cannot_be_loaded_ends_it_with_the_reason(tmp_path: Path) -> None:
    with started(tmp_path, "def model_fn(model_dir): raise ValueError('no such artefact')") as (process, _):
        assert process.wait(20) == 1
        assert process.stdout and "ValueError: no such artefact" in process.stdout.read()
