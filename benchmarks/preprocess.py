"""Time and peak memory of steps/preprocess.py beside pandas with scikit-learn, in alternating runs.

The other side is what one would write in a notebook: ``read_csv``, ``drop_duplicates``, two stratified
``train_test_split``, ``to_parquet``. It cleans nothing, checks nothing and gathers no statistics.

    python benchmarks/preprocess.py --rows 1000000 2000000

Run it with a Python that has pyarrow and NumPy; without pandas or scikit-learn only our side is measured.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "model-build" / "{{cookiecutter.project_slug}}" / "steps" / "preprocess.py"

PANDAS = """
import sys
import pandas as pd
from sklearn.model_selection import train_test_split
source, out = sys.argv[1:]
rows = pd.read_csv(source, dtype=str, keep_default_na=False).drop_duplicates()
train, rest = train_test_split(rows, test_size=0.3, stratify=rows["label"], random_state=13)
validation, test = train_test_split(rest, test_size=0.5, stratify=rest["label"], random_state=13)
for name, part in {"train": train, "validation": validation, "test": test}.items():
    part.to_parquet(f"{out}/{name}.parquet")
"""


class Run(NamedTuple):
    """Wall time in seconds and peak resident memory in MiB of one process."""

    seconds: float
    peak: float


def measure(command: list[str]) -> Run:
    """Run a command to its end.

    Raises:
        SystemExit: it failed; its output was shown.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10  # ru_maxrss: bytes on macOS, KiB on Linux
    return Run(time.perf_counter() - start, usage.ru_maxrss / unit)


def source_texts(source: Path | None) -> list[tuple[str, str]]:
    """Return pairs of text and label: of a CSV file's first two columns, or 10,000 made of random words."""
    if source:
        with source.open(newline="", encoding="utf-8") as file:
            return [(row[0], row[1]) for row in list(csv.reader(file))[1:]]
    chance = random.Random(13)
    words = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 10))) for _ in range(3000)
    ]
    return [
        (
            " ".join(chance.choices(words, k=min(200, int(chance.lognormvariate(2.3, 0.7)) + 1))),
            f"class {i % 77}",
        )
        for i in range(10_000)
    ]


def different_rows(texts: list[tuple[str, str]], rows: int) -> Iterator[tuple[str, str]]:
    """Yield as many rows as asked for; a number at the end keeps the texts apart."""
    for number in range(rows):
        text, label = texts[number % len(texts)]
        yield f"{text} #{number // len(texts)}", label


def compare(rows: int, repeats: int, source: Path | None) -> None:
    """Print one line of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, out = folder / "data.csv", folder / "out"
        out.mkdir()
        with data.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows(different_rows(source_texts(source), rows))
        ours = [
            sys.executable,
            str(SCRIPT),
            "--input",
            str(data),
            "--output",
            str(out),
            "--text-column",
            "text",
            "--label-column",
            "label",
        ]
        theirs = [sys.executable, "-c", PANDAS, str(data), str(out)]
        with_pandas = all(importlib.util.find_spec(package) for package in ("pandas", "sklearn"))
        runs: dict[str, list[Run]] = {"ours": [], "theirs": []}
        for _ in range(repeats):
            runs["ours"].append(measure(ours))
            if with_pandas:
                runs["theirs"].append(measure(theirs))
        line = f"{rows:>10,} {data.stat().st_size / 2**20:>8.1f} " + figures(runs["ours"])
        if with_pandas:
            ratio = median(runs["theirs"]).seconds / median(runs["ours"]).seconds
            line += f" {figures(runs['theirs'])} {ratio:>6.2f}x"
        print(line, flush=True)


def median(runs: list[Run]) -> Run:
    """Return the median of the seconds and the largest of the peaks."""
    return Run(statistics.median(run.seconds for run in runs), max(run.peak for run in runs))


def figures(runs: list[Run]) -> str:
    """Return the columns of one side."""
    return f"{median(runs).seconds:>10.2f} s {median(runs).peak:>8.0f} MiB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000])
    parser.add_argument("--repeats", type=int, default=3, help="medians of the times, maxima of the memories")
    parser.add_argument("--source", type=Path, help="CSV file whose first two columns are text and label")
    given = parser.parse_args()
    print(f"{'rows':>10} {'MiB':>8} {'preprocess.py':>25} {'pandas + scikit-learn':>25} {'faster':>7}")
    for rows in given.rows:
        compare(rows, given.repeats, given.source)


if __name__ == "__main__":
    main()
