"""How a batch grows: rows per second and memory of each step for ever larger files of short comments.

The steps are those of the pipeline: normalise.py, a transform job through the model's own inference.py behind
the Hugging Face handler in the sandbox, and answer.py. Two models: `default`, the default base model with an
untrained head, and `tiny`, a transformer of 30,000 parameters, with which the steps around the model show.

    python benchmarks/batch_growth.py --model tiny --rows 1000 100000 1000000
    python benchmarks/batch_growth.py --model default --rows 1000

Absolute figures are this machine's; how they grow is not. MLOPS_CONTAINER_PYTHON is the Python that stands
for SageMaker's images.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import rounds
import transforms
from batch_steps import STEPS, write_source
from endpoint import STEPS as MODEL_STEPS
from endpoint import WRITE_MODEL, base_model
from processes import Usage
from processes import run as run_process
from rounds import Curve

from mlops_workbench.sandbox import Sandbox

QUICK = [200, 1000]
TIMES = ("normalise.py, s", "transform, s", "answer.py, s")
MEMORIES = ("normalise.py, MiB", "model's process, MB", "answer.py, MiB")


def main() -> None:
    """Measure each size and report."""
    parser = rounds.arguments(__doc__, rounds=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--model", choices=("tiny", "default"), default="tiny")
    parser.add_argument("--instances", type=int, default=1)
    options = parser.parse_args()
    rows = QUICK if options.quick else sorted(options.rows)
    with tempfile.TemporaryDirectory() as name, transforms.world(Path(name)) as sandbox:
        folder = Path(name)
        transforms.add_model(sandbox, "model", write_model(folder, options.model))
        next_name = transforms.names("rows")
        sides = {
            f"{count:,} rows": partial(one_size, sandbox, folder, count, options, next_name) for count in rows
        }
        results = rounds.measure(sides, 1 if options.quick else options.rounds)
    rounds.report(
        f"batch-growth-{options.model}",
        f"A file through the batch pipeline, {options.model} model",
        results,
        quick=options.quick,
        libraries=rounds.versions("torch", "transformers", "tokenizers", python=rounds.container_python()),
        notes=[
            "The tiny model has 30,000 parameters: it shows what is around a model."
            if options.model == "tiny"
            else "MiniLM-L6 with an untrained head.",
            f"{options.instances} instance(s); a transform's seconds are without the start of its server.",
        ],
        curves=curves(results, rows),
    )


def curves(results: rounds.Results, rows: list[int]) -> list[Curve]:
    """Time and memory of each step over the number of rows."""

    def points(metric: str) -> list[tuple[float, float]]:
        return [(count, statistics.median(results[f"{count:,} rows"][metric])) for count in rows]

    if len(rows) < 2:
        return []
    return [
        Curve("Time of each step", "rows", "seconds", {metric: points(metric) for metric in TIMES}),
        Curve("Peak memory of each step", "rows", "MB", {metric: points(metric) for metric in MEMORIES}),
    ]


def write_model(folder: Path, kind: str) -> Path:
    """A folder with a model and our inference.py.

    Raises:
        SystemExit: it could not be written; its words were shown.
    """
    python, source, model = rounds.container_python(), folder / "base", folder / "model"
    if kind == "tiny":
        subprocess.run([python, rounds.ROOT / "tests/model_build/tiny_model.py", source], check=True)
    model.mkdir()
    command = [python, "-c", WRITE_MODEL, MODEL_STEPS, model, source if kind == "tiny" else base_model()]
    if subprocess.run(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}).returncode:
        raise SystemExit("the model could not be written")
    return model


def one_size(
    sandbox: Sandbox, base: Path, rows: int, options: argparse.Namespace, next_name: transforms.Names
) -> dict[str, float]:
    """Have a file of so many rows answered."""
    name = next_name()
    folder = base / name
    folder.mkdir()
    write_source(folder, rows, None)
    places = [f"--{place}={folder / place}" for place in ("request", "rows", "report")]
    normalise = step(
        "normalise.py",
        *places,
        f"--source={folder / 'source'}",
        f"--requests={folder / 'requests'}",
        "--text-column=text",
        f"--instances={options.instances}",
    )
    job = transforms.ours("model")
    job["TransformResources"]["InstanceCount"] = options.instances
    asked = sorted((folder / "requests").iterdir())
    ran = transforms.run(sandbox, name, job, asked, folder)
    answer = step("answer.py", *places, f"--answers={folder / name}", f"--result={folder / 'result'}")
    with (folder / "result/answers.csv").open(encoding="utf-8", newline="") as file:
        answered = sum(bool(row["label"]) for row in csv.DictReader(file))
    if answered != rows:
        raise SystemExit(f"expected {rows} answers, got {answered}")
    return {
        "normalise.py, s": normalise.processor,
        "transform, s": ran.answering,
        "answer.py, s": answer.processor,
        "normalise.py, MiB": normalise.peak,
        "model's process, MB": ran.servers,
        "answer.py, MiB": answer.peak,
        "rows/s through the model": rows / ran.answering,
    }


def step(script: str, *arguments: str) -> Usage:
    """Run a step of the batch template in a process of its own."""
    return run_process([sys.executable, STEPS / script, *arguments])


if __name__ == "__main__":
    main()
