"""Processor time and peak memory of batch-inference's steps beside pandas.

normalise.py makes requests of a CSV file of comments, answer.py puts answers beside its rows; the answers are
made up. The other side is what one would write in a notebook: ``read_csv`` and ``to_json(lines=True)``, then
``read_csv``, ``read_json(lines=True)``, ``concat`` and ``to_csv``. It reads the whole file at once, checks
nothing, and relies on the answers being complete and in order. Both sides use one core.

    python benchmarks/batch_steps.py --rows 1000 100000 1000000

The rounds are run with the last number of rows, and once with each of the others, for the picture of how the
memory grows. Both run under the Python that stands for SageMaker's images (MLOPS_CONTAINER_PYTHON).
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import machine
import processes
import sources
from preprocess import different_rows
from rounds import Curve, Goal, arguments, container_python, measure, report, versions

STEPS = machine.steps("batch-inference")
LABELS = 9

REQUEST = {
    "version": 1,
    "bucket": "data",
    "key": "input/comments.csv",
    "version_id": "1",
    "execution_id": "benchmark",
    "model_package_arn": "arn:aws:sagemaker:ca-central-1:111111111111:model-package/survey/1",
    "model_package_version": 1,
    "format": "csv",
    "gzip": False,
    "source": "data.csv",
    "result": "answers.csv",
    "result_key": "output/comments.csv",
}

TO_REQUESTS = """
import sys
import pandas as pd
source, out = sys.argv[1:]
rows = pd.read_csv(source)
requests = pd.DataFrame({"id": rows.index + 1, "inputs": rows["text"]})
requests.to_json(out, orient="records", lines=True, force_ascii=False)
"""

TO_RESULT = """
import sys
import pandas as pd
source, answers, out = sys.argv[1:]
rows = pd.read_csv(source)
best = pd.read_json(answers, lines=True)["SageMakerOutput"].str[0]
pd.concat([rows, pd.DataFrame(best.tolist())], axis=1).to_csv(out, index=False)
"""

PANDAS = {"normalise": "pandas to requests", "answer": "pandas to answers"}


def main() -> None:
    """Measure, smallest file first."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    options = parser.parse_args()
    sizes = [1000, 10_000, 50_000] if options.quick else sorted(options.rows)
    texts, origin = sources.comments()
    points: dict[str, list[tuple[float, float]]] = {}
    for rows in sizes:
        last = rows == sizes[-1]
        print(f"{rows:,} rows", flush=True)
        with tempfile.TemporaryDirectory() as name:
            both = sides(Path(name), rows, texts)
            results = measure(both, 1 if not last else 2 if options.quick else options.rounds)
        for side, figures in results.items():
            points.setdefault(side, []).append((rows, max(figures["peak memory, MiB"])))
    growth = {step: points[f"{step}.py"][-1][1] - points[f"{step}.py"][0][1] for step in PANDAS}
    report(
        "batch-steps",
        f"The steps around the model, {sizes[-1]:,} rows",
        results,
        *(
            Goal(
                f"{metric.partition(',')[0]} of {step}.py, {sizes[-1]:,} rows",
                "pandas",
                metric,
                (other, f"{step}.py"),
            )
            for step, other in PANDAS.items()
            for metric in ("processor time, s", "peak memory, MiB")
        ),
        quick=options.quick,
        libraries=versions("pandas", python=container_python()),
        notes=[
            f"Texts: {origin}, repeated with a number at the end until there are enough.",
            f"From {sizes[0]:,} to {sizes[-1]:,} rows the memory of "
            + " and that of ".join(f"{step}.py changes by {grown:+.1f} MiB" for step, grown in growth.items())
            + ".",
        ],
        curves=[Curve("Peak memory", "rows", "MiB", points)],
    )


def sides(folder: Path, rows: int, texts: sources.Rows) -> dict[str, Callable[[], dict[str, float]]]:
    """Both steps and what pandas does instead, on a file of so many rows."""
    data = write_source(folder, rows, texts)
    folders = {
        step: [part for each in names for part in (f"--{each}", folder / each)]
        for step, names in {
            "normalise": ("source", "request", "requests", "rows", "report"),
            "answer": ("rows", "answers", "request", "report", "result"),
        }.items()
    }
    normalise = [STEPS / "normalise.py", *folders["normalise"], "--text-column", "text"]
    processes.run([container_python(), *normalise])
    answers, result = write_answers(folder), folder / "pandas.csv"
    commands = {
        "normalise.py": normalise,
        PANDAS["normalise"]: ["-c", TO_REQUESTS, data, folder / "pandas.jsonl"],
        "answer.py": [STEPS / "answer.py", *folders["answer"]],
        PANDAS["answer"]: ["-c", TO_RESULT, data, answers, result],
    }

    def side(command: list[str | Path]) -> Callable[[], dict[str, float]]:
        def run() -> dict[str, float]:
            used = processes.run([container_python(), *command])
            return {"processor time, s": used.processor, "peak memory, MiB": used.peak}

        return run

    return {name: side(command) for name, command in commands.items()}


def write_source(folder: Path, rows: int, texts: sources.Rows | None = None) -> Path:
    """Write the file of comments, and what the first step of the pipeline says about it."""
    for name in ("source", "request", "answers"):
        (folder / name).mkdir()
    path = folder / "source" / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "date", "text"))
        some = different_rows(texts or sources.comments()[0], rows)
        writer.writerows((f"r{number}", "2026-06-01", text) for number, (text, _) in enumerate(some))
    (folder / "request" / "request.json").write_text(json.dumps(REQUEST), encoding="utf-8")
    return path


def write_answers(folder: Path) -> Path:
    """Write an answer to each request, and all of them in one file for pandas, which is returned."""
    together = folder / "answers.jsonl"
    with together.open("w", encoding="utf-8") as everything:
        for part in sorted((folder / "requests").iterdir()):
            answers = folder / "answers" / f"{part.name}.out"
            with (
                part.open(encoding="utf-8", newline="\n") as asked,
                answers.open("w", encoding="utf-8") as file,
            ):
                for line in asked:
                    answer = made_up(json.loads(line)["id"])
                    file.write(answer)
                    everything.write(answer)
    return together


def made_up(number: int) -> str:
    """Return the answer to a row."""
    best = {"label": f"class {number % LABELS}", "score": 0.5 + number % 997 / 2000}
    return json.dumps({"id": number, "SageMakerOutput": [best]}) + "\n"


if __name__ == "__main__":
    main()
