"""From the start of a serving container to its first answer, all its processes together.

The Hugging Face image's entry point imports the toolkit, and with it PyTorch and transformers; only then it
starts multi-model-server (Java), which starts a worker, which imports the same again and loads the model.
Here the same three run without Docker, on loopback, with one worker: for the toolkit's default handler, for
our inference.py behind the toolkit's handler, with PyTorch and with ONNX Runtime, and for ONNX Runtime as it
is registered, with mms_service.py and no toolkit in the worker. Beside them our lean server, which is one
process.

    python benchmarks/serving_container.py --rounds 5

What the image has besides and this machine has not (diffusers, which the toolkit imports where it is
installed) makes the image's start slower than measured here. Needs Java; Linux only.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import rounds
import serving
import serving_load
import serving_models
from rounds import Goal
from serving_models import BEHIND, DEFAULT, INT8, LEAN, TORCH

sys.path.append(str(rounds.ROOT / "tools"))
import multi_model_server

ENTRY_POINT = """
import subprocess, sys
from sagemaker_huggingface_inference_toolkit import serving
sys.exit(subprocess.call(sys.argv[1:]))
"""
COLD, PROCESSOR = "container start to first answer, s", "the same, processor time, s"
MEMORY = "memory of all processes at first answer, MB"


def main() -> None:
    """Prepare the model, measure, report."""
    options = rounds.arguments(__doc__).parse_args()
    if shutil.which("java") is None:
        print("serving_container: skipped, as there is no Java on this machine")
        return
    forms, _, _ = serving_models.prepare((serving.QUICK if options.quick else serving.FULL).rows)
    sides = {
        side: partial(lean if side == LEAN else container, side, forms[side])
        for side in (DEFAULT, TORCH, BEHIND, INT8, LEAN)
        if side in forms
    }
    results = rounds.measure(sides, 2 if options.quick else options.rounds)
    rounds.report(
        "serving-container",
        "A serving container from its start to its first answer",
        results,
        *goals(set(results)),
        quick=options.quick,
        libraries=serving_models.versions(),
        notes=[
            "Without Docker, pulling an image and unpacking a model, which come on top in AWS.",
            "One worker; multi-model-server by itself starts one for each core, and each imports everything.",
            "Memory is the proportional set size (PSS) of the entry point, Java and the worker.",
        ],
    )


def goals(sides: set[str]) -> Iterator[Goal]:
    """What is gained, without a target of its own."""
    for side in (BEHIND, INT8, LEAN):
        if side in sides:
            yield Goal(f"container start, {side}", "the toolkit's default handler", COLD, (DEFAULT, side))
            yield Goal(f"container memory, {side}", "the toolkit's default handler", MEMORY, (side, DEFAULT))


def container(side: str, model: Path) -> dict[str, float]:
    """The Hugging Face image's processes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        variables = serving.environment(side, 1, model) | {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
        command, port = multi_model_server.command(
            rounds.container_python(), Path(name), str(model), variables
        )
        variables |= {
            "TEMP": name,
            "TMPDIR": name,
            "PYTHONPATH": f"{multi_model_server.SHIM}:{model / 'code'}",
        }
        began = time.monotonic()
        process = subprocess.Popen(
            [rounds.container_python(), "-c", ENTRY_POINT, *command],
            env=variables,
            cwd=name,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            serving_load.first(partial(ask, process, port))
            return found(began, family(process.pid))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def lean(side: str, model: Path) -> dict[str, float]:
    """The lean image's process."""
    began = time.monotonic()
    with serving.lean_server(model, serving.environment(side, 1, model)) as (process, ask_it):
        serving_load.first(ask_it)
        return found(began, [process.pid])


def found(began: float, processes: list[int]) -> dict[str, float]:
    """The figures of this moment, the first answer's."""
    cold = time.monotonic() - began
    return {
        COLD: cold,
        PROCESSOR: sum(map(serving_load.processor, processes)),
        MEMORY: serving_load.memory(processes),
    }


def ask(process: subprocess.Popen[bytes], port: int, body: bytes) -> bytes:
    """Ask once /ping is healthy, as SageMaker does; the request then waits for a worker."""
    status = 0
    while status != 200:
        if process.poll() is not None:
            raise SystemExit(f"multi-model-server ended with exit code {process.returncode}")
        time.sleep(0.02)
        with contextlib.suppress(OSError):
            status, _ = said(port, "GET", "/ping")
    status, content = said(port, "POST", "/invocations", body)
    if status != 200:
        raise SystemExit(f"multi-model-server answered {status}: {content.decode()[:1000]}")
    return content


def said(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [each for child in (task / "children").read_text().split() for each in family(int(child))]
    return found


if __name__ == "__main__":
    main()
