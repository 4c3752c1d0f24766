"""CPU time and peak memory of batch-inference's steps beside pandas, in alternating runs.

normalise.py makes requests of a CSV file of comments, answer.py puts answers beside its rows; the answers are
made up. The other side is what one would write in a notebook: ``read_csv`` and ``to_json(lines=True)``, then
``read_csv``, ``read_json(lines=True)``, ``concat`` and ``to_csv``. It reads the whole file at once, checks
nothing, and relies on the answers being complete and in order. Both sides use one core.

    python benchmarks/batch_steps.py --rows 1000 100000 1000000

Without pandas only our side is measured.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from preprocess import Run, different_rows, median, source_texts

ROOT = Path(__file__).resolve().parent.parent
STEPS = ROOT / "batch-inference" / "{{cookiecutter.project_slug}}" / "steps"
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

# The peak of a process begins with that of the process which started it, so a small one does.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(code)
"""


def measure(*command: str | Path) -> Run:
    """Run Python with these arguments to its end.

    Raises:
        SystemExit: it failed; its message was shown.
    """
    arguments = [sys.executable, "-c", MEASURE, sys.executable, *map(str, command)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"failed: {command[0]}")
    seconds, peak = done.stdout.split()
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss: bytes on macOS, KiB on Linux
    return Run(float(seconds), int(peak) / unit)


def write_source(folder: Path, rows: int, source: Path | None) -> Path:
    """Write the file of comments, and what the first step of the pipeline says about it."""
    for name in ("source", "request", "answers"):
        (folder / name).mkdir()
    path = folder / "source" / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "date", "text"))
        texts = different_rows(source_texts(source), rows)
        writer.writerows((f"r{number}", "2026-06-01", text) for number, (text, _) in enumerate(texts))
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


def compare(rows: int, repeats: int, source: Path | None) -> dict[str, Run]:
    """Print a line of the table for each step; return the figures of ours."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_source(folder, rows, source)
        folders = {
            step: [part for each in names for part in (f"--{each}", folder / each)]
            for step, names in {
                "normalise": ("source", "request", "requests", "rows", "report"),
                "answer": ("rows", "answers", "request", "report", "result"),
            }.items()
        }
        normalise = [STEPS / "normalise.py", *folders["normalise"], "--text-column", "text"]
        measure(*normalise)
        answers = write_answers(folder)
        result = folder / "pandas.csv"
        sides = {
            "normalise": (normalise, ["-c", TO_REQUESTS, data, folder / "pandas.jsonl"]),
            "answer": (
                [STEPS / "answer.py", *folders["answer"]],
                ["-c", TO_RESULT, data, answers, result],
            ),
        }
        size = data.stat().st_size / 2**20
        return {step: compare_step(step, rows, size, repeats, *pair) for step, pair in sides.items()}


def compare_step(
    step: str, rows: int, size: float, repeats: int, ours: list[str | Path], theirs: list[str | Path]
) -> Run:
    """Print a line of the table; return the figures of ours."""
    with_pandas = importlib.util.find_spec("pandas") is not None
    runs: tuple[list[Run], list[Run]] = [], []
    for _ in range(repeats):
        runs[0].append(measure(*ours))
        if with_pandas:
            runs[1].append(measure(*theirs))
    line = f"{step:<10} {rows:>9,} {size:>7.1f} {figures(rows, median(runs[0]))}"
    if with_pandas:
        line += f" {figures(rows, median(runs[1]))} {median(runs[1]).peak / median(runs[0]).peak:>7.1f}x"
    print(line, flush=True)
    return median(runs[0])


def figures(rows: int, run: Run) -> str:
    """Return the columns of one side."""
    return f"{run.seconds:>8.2f} s {rows / run.seconds:>9,.0f}/s {run.peak:>6.0f} MiB"


def main() -> None:
    """Print the table, and how our memory grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3, help="medians of the times, maxima of the memories")
    parser.add_argument("--source", type=Path, help="CSV file whose first two columns are text and label")
    given = parser.parse_args()
    print(f"{'step':<10} {'rows':>9} {'MiB':>7} {'ours':>32} {'pandas':>32} {'memory':>8}")
    runs = {rows: compare(rows, given.repeats, given.source) for rows in sorted(given.rows)}
    fewest, most = min(runs), max(runs)
    for step in ("normalise", "answer"):
        growth = runs[most][step].peak - runs[fewest][step].peak
        print(f"{step}: {growth:+.1f} MiB from {fewest:,} to {most:,} rows")


if __name__ == "__main__":
    main()
