"""The settings of a batch, each tried over its range: size of a pass, of a request.

- pass: how many tokens each thread takes through the model at once (engines.py, `TOKENS`), with the
  fine-tuned model of the comparison (batch.py), the fastest artefact that it has;
- request: MaxPayloadInMB, and one record a request, with a transformer of 30,000 parameters, so that it is
  what is around the model that shows, and the memory that a large request takes.

    python benchmarks/batch_sweep.py --rounds 3

Each is a transform job of the sandbox through the real handler. MLOPS_CONTAINER_PYTHON is the Python that
stands for SageMaker's images.
"""

from __future__ import annotations

import itertools
import re
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import batch_growth
import rounds
import serving_models
import transforms
import watched_jobs
from batch import QUICK as QUICK_BATCH
from batch import comments
from batch_inference.config import Transform
from endpoint import OURS
from rounds import Curve

from mlops_workbench.sandbox import Sandbox

RATE, MEMORY = "rows/s once the server runs", "peak memory of the model's processes, MB"
SINGLE = "one record a request"


class Sizes(NamedTuple):
    """What is tried, and on how many rows; `quick` is for trying the benchmark."""

    trained: int
    texts: int
    passes: tuple[int, ...]  # tokens for each thread
    requests: int  # rows of the tiny model's file
    payloads: tuple[int, ...]


FULL = Sizes(0, 3000, (1, 96, 192, 384, 768, 1536, 3072), 100_000, (1, 2, 4, 8, 16))
QUICK = Sizes(QUICK_BATCH.trained, 100, (96, 384), 8000, (1, 2))


def main() -> None:
    """Measure each setting and report."""
    options = rounds.arguments(__doc__, rounds=3).parse_args()
    sizes = QUICK if options.quick else FULL
    count = 1 if options.quick else options.rounds
    forms, _, _ = serving_models.prepare(sizes.trained)
    side, model = best(forms)
    texts, source = comments(sizes.texts)
    with tempfile.TemporaryDirectory() as name, transforms.world(Path(name)) as sandbox:
        trial = Trial(sandbox, Path(name), transforms.names("sweep"))
        variables = OURS | serving_models.service(side)
        copy = Path(shutil.copytree(model, Path(name) / "fine-tuned"))
        transforms.add_model(sandbox, "model", copy, variables)
        transforms.add_model(sandbox, "tiny", batch_growth.write_model(Path(name), "tiny"))
        results = {
            **rounds.measure(dict(passes(trial, copy, variables, texts, sizes.passes)), count),
            **rounds.measure(requests(trial, texts, sizes), count),
        }
    rounds.report(
        "batch-sweep",
        "Settings of a batch transform",
        results,
        quick=options.quick,
        libraries=rounds.versions(
            "torch", "transformers", "tokenizers", "onnxruntime", python=rounds.container_python()
        ),
        notes=[
            f"Passes: {len(texts):,} texts of {source}; {side}.",
            f"Requests: {sizes.requests:,} rows of the same texts; a model of 30,000 parameters.",
        ],
        curves=curves(results, sizes),
    )


class Trial:
    """Where jobs run."""

    def __init__(self, sandbox: Sandbox, folder: Path, next_name: transforms.Names) -> None:
        self.sandbox, self._folder, self._next_name = sandbox, folder, next_name

    def run(self, job: Mapping[str, Any], texts: Sequence[str]) -> dict[str, float]:
        """Have texts answered; returns the figures."""
        name = self._next_name()
        asked = transforms.write_requests(self._folder / f"{name}-asked.jsonl", texts, {"top_k": 1})
        ran = transforms.run(self.sandbox, name, job, [asked], self._folder)
        answers = sum(len(watched_jobs.answered(path)) for path in ran.answers)
        if answers != len(texts):
            raise SystemExit(f"expected {len(texts)} answers, got {answers}")
        return {RATE: len(texts) / ran.answering, MEMORY: ran.servers}


Sides = dict[str, Callable[[], Mapping[str, float]]]


def best(forms: Mapping[str, Path]) -> tuple[str, Path]:
    """The fastest artefact that the model has, for our inference.py."""
    order = (serving_models.INT8, serving_models.FP32, serving_models.TORCH)
    side = next(each for each in order if each in forms)
    return side, forms[side]


def passes(
    trial: Trial, model: Path, variables: Mapping[str, str], texts: list[str], sizes: Sequence[int]
) -> Iterator[tuple[str, Callable[[], Mapping[str, float]]]]:
    """A side for each size of a pass: a model whose code says so."""
    for size in sizes:
        copy = Path(shutil.copytree(model, model.with_name(f"tokens-{size}")))
        engines = copy / "code/serving/engines.py"
        code, found = re.subn(r"(?m)^TOKENS = \d+", f"TOKENS = {size}", engines.read_text(encoding="utf-8"))
        assert found == 1, f"{engines}: expected one line TOKENS = ..., found {found}"
        engines.write_text(code, encoding="utf-8")
        transforms.add_model(trial.sandbox, copy.name, copy, variables)
        yield f"pass of {size} tokens", partial(trial.run, transforms.ours(copy.name), texts)


def requests(trial: Trial, texts: list[str], sizes: Sizes) -> Sides:
    """A side for each size of a request."""
    many = list(itertools.islice(itertools.cycle(texts), sizes.requests))
    single = transforms.ours("tiny", Transform(strategy="SingleRecord"))
    sides: Sides = {SINGLE: partial(trial.run, single, many[: max(100, sizes.requests // 20)])}
    for size in sizes.payloads:
        job = transforms.ours("tiny", Transform(max_payload_mb=size))
        sides[f"{size} MB a request"] = partial(trial.run, job, many)
    return sides


def curves(results: rounds.Results, sizes: Sizes) -> list[Curve]:
    """Throughput and memory over the size of a pass, and of a request."""

    def points(metric: str, form: str, values: Sequence[int]) -> list[tuple[float, float]]:
        return [(value, statistics.median(results[form.format(value)][metric])) for value in values]

    tokens, request = sizes.passes, sizes.payloads
    return [
        Curve(
            "Throughput over the size of a pass",
            "tokens of a thread in a pass",
            "rows/s",
            {"rows/s": points(RATE, "pass of {} tokens", tokens)},
        ),
        Curve(
            "Throughput around the model over the size of a request",
            "MB in a request",
            "rows/s",
            {"rows/s": points(RATE, "{} MB a request", request)},
        ),
        Curve(
            "Peak memory of the model's process over the size of a pass",
            "tokens of a thread in a pass",
            "MB",
            {"MB": points(MEMORY, "pass of {} tokens", tokens)},
        ),
        Curve(
            "Peak memory of the model's process over the size of a request",
            "MB in a request",
            "MB",
            {"MB": points(MEMORY, "{} MB a request", request)},
        ),
    ]


if __name__ == "__main__":
    main()
