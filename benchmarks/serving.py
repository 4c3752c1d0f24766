"""One process that answers: the toolkit's default handler, and our inference.py with each artefact.

All have the same fine-tuned weights. The default handler is the real one of SageMaker's Hugging Face images
(`HuggingFaceHandlerService`), and PyTorch answers behind it, too; ONNX Runtime as it is registered, with
mms_service.py in its place; each round in a process of its own, as a worker of multi-model-server is one. The
last side is our lean server (serving_image/server.py), asked over HTTP. What comes before a worker in a
container, the entry point's own imports and Java, is measured by serving_container.py.

    python benchmarks/serving.py --rounds 5

A worker has one thread and there is one for each core, as multi-model-server starts them (it sets
OMP_NUM_THREADS to 1); `--threads` says otherwise. Accuracy is that on the test set of the data that the model
was trained on, beside the share of texts that the default handler gives the same label.
MLOPS_CONTAINER_PYTHON is the Python that stands for SageMaker's images. Linux only: it reads /proc.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import rounds
import serving_load
import serving_models
import sources
from endpoint import DEFAULT as DEFAULT_VARIABLES
from rounds import Goal
from serving_models import BEHIND, DEFAULT, FP32, INT8, LEAN

from mlops_workbench.sandbox.containers.process import INSIDE

SHIM = INSIDE / "path"
"""Lets the toolkit's release import transformers 5."""
SERVER = rounds.ROOT / "model-build/{{cookiecutter.project_slug}}/serving_image/server.py"
LONGEST = 1500
"""Characters of a comment: the default handler refuses what has more tokens than the model takes."""
BATCH = "survey comments as batch transform sends them, texts/s"


class Sizes(NamedTuple):
    """How much is asked; `quick` is for trying the benchmark."""

    rows: int  # to train the model on; 0 for all
    requests: int  # warm ones
    texts: int  # survey comments
    singles: int  # of them, one a request
    labelled: int  # texts with a known label


FULL = Sizes(rows=0, requests=300, texts=2000, singles=500, labelled=3080)
QUICK = Sizes(rows=1500, requests=50, texts=200, singles=50, labelled=500)


def main() -> None:
    """Prepare the model, measure, report."""
    parser = rounds.arguments(__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    forms, labelled, words = serving_models.prepare(sizes.rows)
    labelled = labelled[:: max(1, len(labelled) // sizes.labelled)][: sizes.labelled]
    comments, source = sources.comments()
    texts = [text for text, _ in comments if text.strip() and len(text) <= LONGEST][: sizes.texts]
    said: dict[str, list[str]] = {}
    job = {"texts": texts, "requests": sizes.requests, "singles": sizes.singles}
    sides = {
        side: partial(one_round, side, folder, job, [text for text, _ in labelled], said, options.threads)
        for side, folder in forms.items()
        if side != BEHIND
    }
    results = rounds.measure(sides, 2 if options.quick else options.rounds)
    for side, figures in results.items():
        agreeing = sum(map(str.__eq__, said[side], said[DEFAULT])) / len(labelled)
        right = sum(label == true for label, (_, true) in zip(said[side], labelled, strict=True)) / len(
            labelled
        )
        figures["accuracy, %"] = [100 * right]
        figures["same label as the default handler, %"] = [100 * agreeing]
    rounds.report(
        "serving",
        "One process that answers: the toolkit's default handler and ours",
        results,
        *goals(set(results)),
        quick=options.quick,
        libraries=serving_models.versions(),
        notes=[
            f"The model is MiniLM-L6, fine-tuned for this; accuracy on {len(labelled):,} texts of {words}.",
            f"Throughput on {len(texts):,} texts of {source}, up to {LONGEST} characters each.",
            f"Each process has {options.threads} thread(s). Batch transform is one record a request for the "
            f"default handler, which refuses JSON Lines, and {serving_load.MANY} for ours.",
            "Memory is the proportional set size (PSS).",
        ],
    )


def goals(sides: set[str]) -> Iterator[Goal]:
    """The targets that the measured sides can be held against."""
    theirs = "the toolkit's default handler"
    if INT8 in sides:
        ratio = partial(Goal, against=theirs, sides=(DEFAULT, INT8))
        yield ratio("cold start of a worker", metric=COLD, at_least=3)
        yield Goal("memory of a worker at first answer", theirs, MEMORY, (INT8, DEFAULT), at_most=0.333)
        yield ratio("warm latency, median", metric="one short text, median, ms", at_least=3)
        yield ratio("warm latency, p95", metric="one short text, p95, ms", at_least=3)
        yield Goal("throughput of batch transform", theirs, BATCH, (INT8, DEFAULT), at_least=5)
        lost = "accuracy lost by int8"
        yield Goal(lost, "fp32", "accuracy, %", (FP32, INT8), at_most=0.3, minus=True, unit=" points")
    if LEAN in sides:
        yield Goal("cold start, the lean server", theirs, COLD, (DEFAULT, LEAN), at_least=8)
        yield Goal("memory, the lean server", theirs, MEMORY, (LEAN, DEFAULT), at_most=0.333)


COLD, MEMORY = "cold start, s", "memory at first answer, MB"


def one_round(
    side: str, model: Path, job: dict[str, Any], labelled: list[str], said: dict[str, list[str]], threads: int
) -> dict[str, float]:
    """Start one process, ask it everything, end it; the labels are asked for once only."""
    run: Callable[..., tuple[dict[str, float], list[str]]] = lean if side == LEAN else handler
    figures, labels = run(side, model, job | {"labelled": [] if side in said else labelled}, threads)
    said.setdefault(side, labels)
    one, many = (
        figures[f"{count} a request, texts/s"] for count in ("one text", f"{serving_load.MANY} texts")
    )
    return {**figures, BATCH: one if side == DEFAULT else many}


def environment(side: str, threads: int, model: Path) -> dict[str, str]:
    """What a worker of the image sees."""
    ours = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": str(model / "code")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "SAGEMAKER_"))}
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(max(1, (os.cpu_count() or 1) // threads)),
        **(DEFAULT_VARIABLES if side == DEFAULT else ours),
        **serving_models.service(side),
    }


def handler(side: str, model: Path, job: dict[str, Any], threads: int) -> tuple[dict[str, float], list[str]]:
    """A process as a worker of multi-model-server."""
    with tempfile.TemporaryDirectory() as name:
        asked, found = Path(name) / "job.json", Path(name) / "found.json"
        probe = Path(__file__).with_name("serving_probe.py")
        command = [str(rounds.container_python()), str(probe), str(asked), str(found)]
        path = os.pathsep.join([str(SHIM), str(model / "code")])
        variables = {**environment(side, threads, model), "PYTHONPATH": path}
        asked.write_text(
            json.dumps({**job, "model": str(model), "began": time.monotonic()}), encoding="utf-8"
        )
        done = subprocess.run(
            command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise SystemExit(f"{side}: the handler's process failed\n{done.stderr[-4000:]}")
        content = json.loads(found.read_text(encoding="utf-8"))
        return content["figures"], content["labels"]


def lean(side: str, model: Path, job: dict[str, Any], threads: int) -> tuple[dict[str, float], list[str]]:
    """A process of the lean server."""
    began = time.monotonic()
    with lean_server(model, environment(side, threads, model)) as (process, ask):
        serving_load.first(ask)
        figures = {
            COLD: time.monotonic() - began,
            "cold start, processor time, s": serving_load.processor(process.pid),
            MEMORY: serving_load.memory([process.pid]),
        }
        return {**figures, **serving_load.figures(ask, job)}, serving_load.answered(ask, job["labelled"])


@contextmanager
def lean_server(
    model: Path, variables: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[str], serving_load.Ask]]:
    """Our server for one model, and what asks it; ended with the block."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "model").symlink_to(model)
        variables = {**variables, "SAGEMAKER_BASE_DIR": name}
        command = [str(rounds.container_python()), str(SERVER), "--host", "127.0.0.1", "--port", "0"]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline().rsplit(" ", 1)[-1] or 0)
            threading.Thread(target=process.stdout.read, daemon=True).start()
            connection = http.client.HTTPConnection("127.0.0.1", port)

            def ask(body: bytes) -> bytes:
                connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    raise SystemExit(f"the lean server answered {answer.status}: {content.decode()[:1000]}")
                return content

            try:
                yield process, ask
            finally:
                connection.close()
                process.terminate()


if __name__ == "__main__":
    main()
