"""Time and peak memory of steps/preprocess.py beside pandas with scikit-learn.

The other side is what one would write in a notebook: ``read_csv``, ``drop_duplicates``, two stratified
``train_test_split``, ``to_parquet``. It cleans nothing, checks nothing and gathers no statistics. Both run
under the Python that stands for SageMaker's images (MLOPS_CONTAINER_PYTHON), which has all that they need.

    python benchmarks/preprocess.py --rows 10000 100000 1000000 3000000

The rounds are run with the last number of rows but one, and once with each of the others, for the picture of
how the memory grows.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import machine
import processes
import sources
from rounds import Curve, Goal, arguments, container_python, measure, report, versions

SCRIPT = machine.steps("model-build") / "preprocess.py"
OURS, THEIRS = "preprocess.py", "pandas + scikit-learn"

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

Figures = dict[str, float]


def main() -> None:
    """Measure, smallest file first."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 3_000_000])
    options = parser.parse_args()
    sizes = [1000, 10_000, 30_000] if options.quick else sorted(options.rows)
    if len(sizes) < 2:
        parser.error("expected at least two numbers of rows")
    main_size, most = sizes[-2:]
    results: dict[str, Mapping[str, Sequence[float]]] = {}
    texts, origin = sources.banking()
    points: dict[str, list[tuple[float, float]]] = {OURS: [], THEIRS: []}
    for rows in sizes:
        repeated = rows == main_size
        print(f"{rows:,} rows", flush=True)
        with tempfile.TemporaryDirectory() as name:
            size = write_rows(Path(name) / "data.csv", texts, rows)
            found = measure(sides(Path(name)), (2 if options.quick else options.rounds) if repeated else 1)
        for side, each in points.items():
            each.append((rows, max(found[side]["peak memory, MiB"])))
        if repeated:
            results.update(found)
            note = (
                f"Texts: {origin}, repeated with a number at the end until there are enough: {size:.0f} MiB."
            )
    larger = f"{OURS}, {most:,} rows"
    results[larger] = {"peak memory, MiB": [points[OURS][-1][1]]}
    report(
        "preprocess",
        f"Preparing {main_size:,} rows",
        results,
        Goal(f"preprocess, {main_size:,} rows", THEIRS, "time, s", (THEIRS, OURS), at_least=1),
        Goal(f"memory of preprocess, {main_size:,} rows", THEIRS, "peak memory, MiB", (THEIRS, OURS)),
        Goal(
            f"memory of preprocess, {most:,} rows",
            f"itself with {main_size:,} rows",
            "peak memory, MiB",
            (larger, OURS),
            at_most=1.25,
        ),
        quick=options.quick,
        libraries=versions("numpy", "pandas", "pyarrow", "scikit-learn", python=container_python()),
        notes=[
            note,
            "pandas cleans nothing, checks nothing and gathers no statistics; preprocess.py does.",
        ],
        curves=[Curve("Peak memory", "rows", "MiB", points)],
    )


def write_rows(path: Path, texts: sources.Rows, rows: int) -> float:
    """Write a CSV file of so many different rows; return its size in MiB."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows(different_rows(texts, rows))
    return path.stat().st_size / 2**20


def different_rows(texts: sources.Rows, rows: int) -> Iterator[tuple[str, str]]:
    """Yield as many rows as asked for; a number at the end keeps the texts apart."""
    for number in range(rows):
        text, label = texts[number % len(texts)]
        yield f"{text} #{number // len(texts)}", label


def sides(folder: Path) -> dict[str, Callable[[], Figures]]:
    """Both sides, on the file in a folder."""
    data, out = folder / "data.csv", folder / "out"
    columns = ("--text-column", "text", "--label-column", "label")
    places = ("--input", data, "--output", out)
    commands = {OURS: [SCRIPT, *places, *columns], THEIRS: ["-c", PANDAS, data, out]}

    def side(command: list[str | Path]) -> Callable[[], Figures]:
        def run() -> Figures:
            out.mkdir(exist_ok=True)
            used = processes.run([container_python(), *command])
            return {
                "time, s": used.seconds,
                "processor time, s": used.processor,
                "peak memory, MiB": used.peak,
            }

        return run

    return {name: side(command) for name, command in commands.items()}


if __name__ == "__main__":
    main()
