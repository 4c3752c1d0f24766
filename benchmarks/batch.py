"""Batch transform over survey comments, short and long: ours, and the toolkit's handler one record a request.

Both sides are transform jobs of the sandbox, through the real Hugging Face handler, with the same fine-tuned
weights, which read the same tokens:

- the toolkit's default handler, BatchStrategy SingleRecord, application/json: as the public examples do;
- our inference.py, as a batch-inference repository sends it with its defaults: MultiRecord, and within a
  request the texts go through the model in small batches, sorted by length. One side for each artefact that
  the model has (torch, ONNX).

A job's seconds begin when its server is there: a start takes seconds here and minutes on SageMaker, whatever
the file. Each round starts the server anew. What is answered is compared text by text.

    python benchmarks/batch.py --rounds 5

batch_sweep.py is about the settings, batch_growth.py about the number of rows. MLOPS_CONTAINER_PYTHON is the
Python that stands for SageMaker's images.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import rounds
import serving_models
import sources
import transforms
import watched_jobs
from endpoint import DEFAULT as DEFAULT_VARIABLES
from endpoint import OURS
from rounds import Goal
from serving_models import BEHIND, DEFAULT, LEAN

from mlops_workbench.sandbox import Sandbox

MAX_LENGTH = 128
"""Tokens that both sides read, model-build's default; of a longer text the first ones."""
RATE, MEMORY = "rows/s once the server runs", "peak memory of the model's process, MB"


class Sizes(NamedTuple):
    """How much is asked; `quick` is for trying the benchmark."""

    trained: int  # rows that the model is trained on; 0 for all
    texts: int


FULL, QUICK = Sizes(0, 4000), Sizes(1500, 200)


class Answers(NamedTuple):
    """What a side has answered: label and score of each text."""

    labels: list[str]
    scores: list[float]


def main() -> None:
    """Prepare the models and the texts, measure, report."""
    options = rounds.arguments(__doc__).parse_args()
    sizes = QUICK if options.quick else FULL
    forms, _, _ = serving_models.prepare(sizes.trained)
    forms = {side: model for side, model in forms.items() if side not in (BEHIND, LEAN)}
    texts, source = comments(sizes.texts)
    said: dict[str, Answers] = {}
    with tempfile.TemporaryDirectory() as name, transforms.world(Path(name)) as sandbox:
        jobs = {side: prepare(sandbox, Path(name), side, model, texts) for side, model in forms.items()}
        next_name = transforms.names("batch")
        sides = {
            side: partial(one_round, sandbox, Path(name), side, *job, next_name, said)
            for side, job in jobs.items()
        }
        results = rounds.measure(sides, 2 if options.quick else options.rounds)
    for side, figures in results.items():
        share, furthest = agreement(said[side], said[DEFAULT])
        figures["same label as the default handler, %"] = [share]
        figures["largest difference of a score"] = [furthest]
    rounds.report(
        "batch",
        "Batch transform over survey comments",
        results,
        *(
            Goal(
                f"throughput of batch transform, {side}",
                "the toolkit's default handler, one record a request",
                RATE,
                (side, DEFAULT),
                at_least=5 if "int8" in side else None,
            )
            for side in results
            if side != DEFAULT
        ),
        quick=options.quick,
        libraries=serving_models.versions(),
        notes=[
            f"{len(texts):,} texts of {source}, each read up to {MAX_LENGTH} tokens.",
            "One worker with all cores on each side; ours with the defaults of config/transform.yaml.",
            "The model was trained for another question than these comments answer, so it is unsure, and "
            "rounding changes more labels than it would in use; accuracy is measured by serving.py.",
        ],
    )


def comments(count: int) -> tuple[list[str], str]:
    """So many of them, in mixed order, the same each time."""
    found, source = sources.comments()
    texts = [text for text, _ in found if text.strip()]
    random.Random(7).shuffle(texts)
    return texts[:count], source


def prepare(
    sandbox: Sandbox, folder: Path, side: str, model: Path, texts: list[str]
) -> tuple[dict[str, Any], Path]:
    """Make a side's model and its file of requests; returns the job and the file."""
    name = "-".join("".join(letter if letter.isalnum() else " " for letter in side).split())
    copy = folder / name
    shutil.copytree(model, copy)
    read = {"top_k": 1}
    variables = OURS | serving_models.service(side)
    if side == DEFAULT:
        read, variables = {"truncation": True, "max_length": MAX_LENGTH}, DEFAULT_VARIABLES
    else:
        serving = json.loads((copy / "serving.json").read_text(encoding="utf-8"))
        # what the default handler can do, too; and no temperature, which would change the scores
        plain = [{**target, "temperature": 1.0} for target in serving["targets"]]
        serving |= {"max_length": MAX_LENGTH, "truncation": "head", "targets": plain}
        (copy / "serving.json").write_text(json.dumps(serving), encoding="utf-8")
    transforms.add_model(sandbox, name, copy, variables)
    asked = transforms.write_requests(folder / f"{name}-asked/part-00000.jsonl", texts, read)
    return (transforms.theirs(name) if side == DEFAULT else transforms.ours(name)), asked


def one_round(
    sandbox: Sandbox,
    folder: Path,
    side: str,
    job: dict[str, Any],
    asked: Path,
    next_name: transforms.Names,
    said: dict[str, Answers],
) -> dict[str, float]:
    """Run one job; its answers are kept the first time."""
    ran = transforms.run(sandbox, next_name(), job, [asked], folder)
    best = watched_jobs.answered(ran.answers[0])
    with asked.open(encoding="utf-8") as file:
        rows = sum(1 for _ in file)
    if len(best) != rows:
        raise SystemExit(f"{side}: expected {rows} answers, got {len(best)}")
    said.setdefault(side, Answers([each["label"] for each in best], [each["score"] for each in best]))
    return {RATE: rows / ran.answering, MEMORY: ran.servers, "whole job, s": ran.seconds}


def agreement(ours: Answers, theirs: Answers) -> tuple[float, float]:
    """Percent of texts with the same label, and how far apart the scores of these are at most."""
    same = [
        abs(one - other)
        for label, true, one, other in zip(
            ours.labels, theirs.labels, ours.scores, theirs.scores, strict=True
        )
        if label == true
    ]
    return 100 * len(same) / len(ours.labels), max(same, default=0.0)


if __name__ == "__main__":
    main()
