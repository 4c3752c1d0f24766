"""The Java server of SageMaker's Hugging Face images, the real one, on loopback: for tests and benchmarks.

Its own ``serve`` binds to all addresses and needs a setuptools that still has pkg_resources;
``multi-model-server`` is started as ``serve`` would start it, with the same settings but the address.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlops_workbench.sandbox.containers.process import INSIDE

#: What makes the toolkit's newest release importable beside transformers 5.
SHIM = INSIDE / "path"
_HANDLER = "sagemaker_huggingface_inference_toolkit.handler_service"
_START_SECONDS = 120


def missing(python: Path) -> str | None:
    """Why it cannot be started with this environment; None where it can."""
    if shutil.which("java") is None:
        return "there is no Java on this machine"
    program = python.with_name("multi-model-server")
    return None if program.is_file() else f"{program}: multi-model-server is not installed there"


def command(python: Path, folder: Path, model: str, environment: Mapping[str, str]) -> tuple[list[str], int]:
    """Write the configuration and return the command and the port.

    Args:
        python: of the environment that has multi-model-server.
        folder: where the configuration goes.
        model: the unpacked model's folder.
        environment: of the container; SAGEMAKER_MAX_PAYLOAD_IN_MB is the largest request,
            SAGEMAKER_MODEL_SERVER_WORKERS how many processes have the model.
    """
    port = _free_port()
    # The configuration that sagemaker-inference ships: to standard output.
    logging = next(python.parent.parent.glob("lib/python*/site-packages/sagemaker_inference/etc/log4j2.xml"))
    settings = {
        "enable_envvars_config": "true",
        "decode_input_request": "false",
        "load_models": "ALL",
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{port}",
        # the image starts one for each core if nothing is said
        "default_workers_per_model": environment.get("SAGEMAKER_MODEL_SERVER_WORKERS") or "1",
        "default_response_timeout": "60",
        "default_service_handler": _HANDLER,
        "vmargs": "-Xmx256m",
    }
    if payload := int(environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or 0):
        settings["max_request_size"] = str(payload * 1024 * 1024)
    properties = folder / "mms.properties"
    properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), "utf-8")
    start = [str(python.with_name("multi-model-server")), "--start", "--foreground", "--model-store", "/"]
    files = ["--mms-config", str(properties), "--log-config", str(logging)]
    return [*start, *files, "--models", f"model={model}"], port


@contextlib.contextmanager
def serving(python: Path, model: Path, variables: Mapping[str, str]) -> Iterator[int]:
    """Serve an unpacked model while the block runs; gives the port. No process is left.

    Raises:
        RuntimeError: it ended, or did not answer /ping; with the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="mms-", ignore_cleanup_errors=True) as name:
        words, port = command(python, Path(name), str(model), variables)
        environment = {
            **os.environ,
            **variables,
            # servers side by side need folders of their own
            "TEMP": name,
            "TMPDIR": name,
            "PYTHONPATH": f"{SHIM}:{model / 'code'}",
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        }
        log = Path(name) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                words,
                cwd=name,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(process, port, log)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str, bytes]:
    """Send one request; returns status, content type and body.

    A worker loads its model after /ping is healthy: the first answer takes as long.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request(
            method, path, body, {key.replace("_", "-"): value for key, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read()
    finally:
        connection.close()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ask(port, "GET", "/ping")[0] == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"multi-model-server does not answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")


def _free_port() -> int:
    """A free port below 32767, the highest that multi-model-server 1.1.11 takes (Short.MAX_VALUE)."""
    while True:
        port = random.randrange(10000, 32767)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
