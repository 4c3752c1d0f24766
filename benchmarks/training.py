"""Training: our step beside the recipe of the public examples, and on two ranks beside one.

Both sides start from the same base model and have the same texts, epochs, batch size and learning rate. Ours
is steps/train.py as the pipeline starts it, in fp32 and in the number format that it chooses by measuring;
the other is public_recipe_training.py, which pads every text to 128 tokens and leaves the Trainer its
defaults.
Each round has another seed, and every training is a process of its own, from the first import to the model.

    python benchmarks/training.py --seeds 3
    python benchmarks/training.py --ranks 2       # how torchrun's ranks scale, instead

Speed is that of the training loop with its evaluations, the whole step is everything. Accuracy is measured
afterwards, on the test set, by the same code for all sides. The time to an accuracy is that of the first
evaluation at which a side has the validation accuracy that all sides reach. MLOPS_CONTAINER_PYTHON is the
Python that stands for SageMaker's images.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import machine
import sources
from endpoint import base_model
from rounds import Curve, Goal, arguments, container_python, measure, report, versions

STEPS = machine.steps("model-build")
RECIPE = Path(__file__).with_name("public_recipe_training.py")
THEIRS, FP32, CHOSEN = "public recipe", "ours, fp32", "ours, precision by measurement"
SPEED, WALL, LOOP = "training, texts/s", "whole step, s", "training loop, s"
ACCURACY, TO_ACCURACY = "test accuracy, %", "to the accuracy that all reach, s"
MAX_LENGTH, BATCH, RATE = 128, 32, 2e-4

BEGINS = re.compile(r"^training")
EVALUATED = re.compile(r"validation:accuracy=([0-9.]+)|'eval_accuracy': '?([0-9.]+)")
FORMAT = re.compile(r"^precision (\S+): (.*)")

ASK = """
import json, sys
import pyarrow.parquet as pq, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model, tokenizer, test = sys.argv[1:]
table = pq.read_table(test)
model = AutoModelForSequenceClassification.from_pretrained(model)
tokenizer = AutoTokenizer.from_pretrained(tokenizer)
padded = {"padding": True, "truncation": True, "max_length": 128, "return_tensors": "pt"}
texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
right = 0
with torch.inference_mode():
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        answers = model(**tokenizer([texts[row] for row in rows], **padded)).logits.argmax(-1).tolist()
        right += sum(answer == labels[row] for answer, row in zip(answers, rows))
print(right / len(order))
"""


class Sizes(NamedTuple):
    """How much is trained; `quick` is for trying the benchmark."""

    train: int
    validation: int
    test: int
    epochs: int


FULL = Sizes(train=2000, validation=500, test=3080, epochs=5)
QUICK = Sizes(train=160, validation=32, test=64, epochs=1)


class Training(NamedTuple):
    """What was seen of a training from outside."""

    loop: float  # seconds, from the first step to the last evaluation
    whole: float  # seconds of the process
    curve: list[
        tuple[float, float]
    ]  # after each epoch: seconds since the process started, accuracy in percent
    format: str  # the number format and why, in words; "" if it says nothing


def main() -> None:
    """Prepare the sets, measure, report."""
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--seeds", type=int, help="as --rounds: each round has another seed")
    parser.add_argument("--ranks", type=int, default=1, help="more: how so many ranks scale on this machine")
    parser.add_argument("--rows", type=int, help="texts to train on")
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    sizes = sizes._replace(train=options.rows or sizes.train, epochs=options.epochs or sizes.epochs)
    number = options.seeds or (1 if options.quick else options.rounds)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        words = write_sets(work / "sets", sizes)
        notes = [
            f"{words}: {sizes.train:,} to train on, {sizes.epochs} epochs, batch {BATCH}, rate {RATE:g}."
        ]
        if options.ranks > 1:
            scaling(work, sizes, options.ranks, number, options.quick, notes)
        else:
            comparison(work, sizes, number, options.quick, notes)


def comparison(work: Path, sizes: Sizes, number: int, quick: bool, notes: list[str]) -> None:
    """Ours beside the public recipe."""
    seen: dict[str, list[Training]] = {THEIRS: [], FP32: [], CHOSEN: []}
    commands: dict[str, Callable[[Path, int], list[object]]] = {
        THEIRS: partial(recipe, work / "sets", sizes),
        FP32: partial(ours, work / "sets", sizes, "fp32"),
        CHOSEN: partial(ours, work / "sets", sizes, "auto"),
    }
    sides = {side: partial(one_round, work, sizes, seen[side], command) for side, command in commands.items()}
    results = {side: dict(each) for side, each in measure(sides, number).items()}
    for side, times in times_to_accuracy(seen).items():
        results[side][TO_ACCURACY] = times
    chosen = sorted({training.format for training in seen[CHOSEN]})
    report(
        "training",
        "Fine-tuning a text classifier",
        results,
        Goal(
            "training speed, by measurement",
            "the public examples' recipe",
            SPEED,
            (CHOSEN, THEIRS),
            at_least=10,
        ),
        Goal("training speed, fp32", "the public examples' recipe", SPEED, (FP32, THEIRS), at_least=5),
        Goal("whole training step", "the public examples' recipe", WALL, (THEIRS, CHOSEN)),
        Goal(
            "time to a given accuracy",
            "the public examples' recipe",
            TO_ACCURACY,
            (THEIRS, CHOSEN),
            at_least=6,
        ),
        Goal(
            "accuracy gained, fp32",
            "the public examples' recipe",
            ACCURACY,
            (FP32, THEIRS),
            at_least=-0.5,
            minus=True,
            unit=" points",
        ),
        Goal(
            "accuracy gained, by measurement",
            "the public examples' recipe",
            ACCURACY,
            (CHOSEN, THEIRS),
            at_least=-0.5,
            minus=True,
            unit=" points",
        ),
        quick=quick,
        libraries=versions("torch", "transformers", "tokenizers", python=container_python()),
        notes=[*notes, *(f"Chosen by measurement: {words}." for words in chosen if words)],
        curves=[
            Curve(
                "Accuracy of the validation set, first round",
                "seconds since the start",
                "%",
                {side: trainings[0].curve for side, trainings in seen.items()},
            )
        ],
    )


def scaling(work: Path, sizes: Sizes, ranks: int, number: int, quick: bool, notes: list[str]) -> None:
    """Several ranks of one thread each beside one, and beside one with as many threads; the same batches."""
    one, threads, several = "1 rank, 1 thread", f"1 rank, {ranks} threads", f"{ranks} ranks, 1 thread each"
    seen: dict[str, list[Training]] = {one: [], threads: [], several: []}
    sides = {
        side: partial(
            one_round,
            work,
            sizes,
            seen[side],
            partial(ours, work / "sets", sizes, "fp32", ranks=ranks if side == several else 1),
            threads=ranks if side == threads else 1,
        )
        for side in seen
    }
    results = measure(sides, number)
    report(
        "training-ranks",
        f"Fine-tuning with torchrun, {ranks} ranks on one machine",
        results,
        Goal(f"speed of {ranks} ranks", "one rank with one thread", SPEED, (several, one)),
        Goal(f"speed of {ranks} ranks", f"one rank with {ranks} threads", SPEED, (several, threads)),
        Goal("accuracy gained", "one rank", ACCURACY, (several, one), minus=True, unit=" points"),
        quick=quick,
        libraries=versions("torch", "transformers", python=container_python()),
        notes=[*notes, "A rank has its share of each batch, so that all sides take the same steps."],
    )


def write_sets(folder: Path, sizes: Sizes) -> str:
    """Write train, validation and test as our preprocessing does; return where the texts are from."""
    (rows, words), (test, _) = sources.banking("train"), sources.banking("test")
    wanted = sizes.train + sizes.validation
    # a small sample has fewer classes, so that each has some texts to train on
    labels = set(sorted({label for _, label in rows})[: max(2, wanted // 20)])
    rows, test = ([row for row in part if row[1] in labels] for part in (rows, test))
    random.Random(13).shuffle(rows)
    random.Random(13).shuffle(test)
    folder.mkdir()
    for name, part in {"rows": rows[:wanted], "test": test[: sizes.test]}.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])
    share = sizes.train / wanted
    command = [container_python(), STEPS / "preprocess.py", "--input", folder / "rows.csv"]
    command += ["--test-input", folder / "test.csv", "--output", folder, "--text-column", "text"]
    command += ["--label-column", "label", "--max-bad-label-share", "0.1", "--train-fraction", share]
    command += ["--validation-fraction", 1 - share, "--test-fraction", 0]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return words


def ours(sets: Path, sizes: Sizes, precision: str, folder: Path, seed: int, ranks: int = 1) -> list[object]:
    """The command that trains with our step."""
    launcher: list[object] = [container_python()]
    if ranks > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", ranks]
    channels = ["--train", sets / "train", "--validation", sets / "validation", "--base-model", base_model()]
    outputs = ["--model-dir", folder / "model", "--checkpoint-dir", folder / "checkpoints"]
    outputs += ["--output-data-dir", folder / "output"]
    values = {
        "epochs": sizes.epochs,
        "batch-size": BATCH // ranks,
        "learning-rate": RATE,
        "max-length": MAX_LENGTH,
        "truncation": "head_tail",
        "precision": precision,
        "early-stopping-patience": sizes.epochs,
        "seed": seed,
    }
    hyperparameters = [part for name, value in values.items() for part in (f"--{name}", value)]
    return [*launcher, STEPS / "train.py", *channels, *outputs, *hyperparameters]


def recipe(sets: Path, sizes: Sizes, folder: Path, seed: int) -> list[object]:
    """The command that trains as the public examples do."""
    target = json.loads((sets / "train/labels.json").read_text(encoding="utf-8"))["targets"][0]
    data = ["--train", sets / "train/data.parquet", "--validation", sets / "validation/data.parquet"]
    data += ["--labels", len(target["labels"]), "--base-model", base_model(), "--output-dir", folder]
    values = {"epochs": sizes.epochs, "batch-size": BATCH, "learning-rate": RATE}
    values |= {"max-length": MAX_LENGTH, "seed": seed}
    hyperparameters = [part for name, value in values.items() for part in (f"--{name}", value)]
    return [container_python(), RECIPE, *data, *hyperparameters]


def one_round(
    work: Path,
    sizes: Sizes,
    seen: list[Training],
    command: Callable[[Path, int], list[object]],
    threads: int | None = None,
) -> dict[str, float]:
    """Train with the next seed, and measure what came of it."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        training = watch(command(folder, 13 + len(seen)), threads)
        seen.append(training)
        asked = [
            container_python(),
            "-c",
            ASK,
            folder / "model",
            base_model(),
            work / "sets/test/data.parquet",
        ]
        done = subprocess.run(list(map(str, asked)), env=environment(), text=True, capture_output=True)
        if done.returncode:
            raise SystemExit(f"the model could not be asked: {done.stderr}")
    return {
        SPEED: sizes.train * sizes.epochs / training.loop,
        LOOP: training.loop,
        WALL: training.whole,
        ACCURACY: 100 * float(done.stdout),
    }


def watch(command: list[object], threads: int | None = None) -> Training:
    """Run a training to its end and note when it says what.

    Raises:
        SystemExit: it failed; what it said is the message.
    """
    began = time.perf_counter()
    first = last = 0.0
    curve: list[tuple[float, float]] = []
    lines, words, over = [], "", False
    process = subprocess.Popen(
        list(map(str, command)),
        env=environment(threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    for line in process.stdout:
        now = time.perf_counter() - began
        lines.append(line)
        if not first and BEGINS.match(line):
            first = now
        if found := EVALUATED.search(line):
            accuracy = 100 * float(found[1] or found[2])
            # The recipe evaluates once more after the training, as the examples do: not part of the loop.
            if not over:
                last = now
                curve.append((now, accuracy))
        over = over or "train_runtime" in line
        if found := FORMAT.match(line):
            words = f"{found[1]} ({found[2]})"
    if process.wait():
        raise SystemExit("failed: " + " ".join(map(str, command)) + "\n" + "".join(lines[-30:]))
    return Training(last - first, time.perf_counter() - began, curve, words)


def environment(threads: int | None = None) -> dict[str, str]:
    """This process's, with which a training asks no hub and keeps no line back."""
    with_threads = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1", **with_threads}


def times_to_accuracy(seen: dict[str, list[Training]]) -> dict[str, list[float]]:
    """For each side and round, when it first had the accuracy that all sides of the round reach."""
    times: dict[str, list[float]] = {side: [] for side in seen}
    for trainings in zip(*seen.values(), strict=True):
        goal = min(max(accuracy for _, accuracy in training.curve) for training in trainings)
        for side, training in zip(seen, trainings, strict=True):
            times[side].append(next(when for when, accuracy in training.curve if accuracy >= goal))
    return times


if __name__ == "__main__":
    main()
