"""Ours beside what one would use instead: run in turn, reported as medians, spread and ratios.

A benchmark is a script that names its sides, has them measured, and says what counts:

    options = arguments(__doc__).parse_args()            # --rounds, --quick, and what you add
    results = measure({"ours": ours, "default handler": theirs}, options.rounds)
    report(
        "endpoint", "A serverless endpoint's first answer", results,
        Goal("cold start", "the default handler", "cold start, s", ("default handler", "ours"), at_least=3),
        quick=options.quick, libraries=versions("torch", "transformers", python=container_python()),
    )

A side is a function without arguments that runs once and returns its figures, such as
``{"cold start, s": 1.2}``: a metric's name ends with its unit. What must begin cold starts a process of its
own (processes.py). The sides alternate, and every other round begins with the last one, so that what disturbs
the machine disturbs all of them.

`report` prints the figures and writes them to benchmarks/results/NAME.json, with a picture in NAME.svg; with
`quick`, into build/benchmarks/, as small sizes prove nothing. docs/performance.md is made of these files by
tools/docs_performance.py, which also fills in, on any page of docs/, a line ``<!-- benchmark: NAME -->``.

The standard library only: this runs under the Python of each side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import plots
from plots import Curve

__all__ = ["ROOT", "Curve", "Goal", "arguments", "container_python", "measure", "report", "versions"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS, TRIES = ROOT / "benchmarks/results", ROOT / "build/benchmarks"

Results = Mapping[str, Mapping[str, Sequence[float]]]
Measured = dict[str, dict[str, list[float]]]
"""Side -> metric -> a value for each round."""

versions, container_python = machine.versions, machine.container_python


@dataclass(frozen=True)
class Goal:
    """A figure that was aimed at: the median of one side over that of another, or less it."""

    what: str
    """As in the table of targets: "cold start", "memory at first answer"."""
    against: str
    """What one would use instead, in a reader's words."""
    metric: str
    sides: tuple[str, ...]
    """The ratio is the first over the second: ("theirs", "ours") says how many times faster ours is. One
    side alone: its figure itself."""
    at_least: float | None = None
    at_most: float | None = None
    minus: bool = False
    """The first less the second, not over it."""
    unit: str = "x"
    """Of the figure: "x" for a ratio; " s", " points" for a difference."""


def arguments(about: str | None, rounds: int = 5) -> argparse.ArgumentParser:
    """The options that every benchmark has; add your own."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="each side is measured so often")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds, to try it")
    return parser


def measure(sides: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int = 5) -> Measured:
    """Run the sides alternately, every other round in reverse.

    Args:
        sides: name -> what runs it once and returns its figures: the same metrics each time.
        rounds: how often.

    Returns:
        Side -> metric -> a value for each round, in order: values of one round belong together.
    """
    found: Measured = {side: {} for side in sides}
    for number in range(rounds):
        for side in list(sides) if number % 2 == 0 else list(reversed(list(sides))):
            began = time.perf_counter()
            figures = sides[side]()
            if number and set(figures) != set(found[side]):
                raise ValueError(f"{side}: round 1 had {sorted(found[side])}, this one {sorted(figures)}")
            for metric, value in figures.items():
                found[side].setdefault(metric, []).append(float(value))
            said = ", ".join(f"{metric} {plots.short_number(value)}" for metric, value in figures.items())
            print(
                f"  round {number + 1}/{rounds}, {side}: {said} ({time.perf_counter() - began:.0f} s)",
                flush=True,
            )
    return found


def reached(goal: Goal, results: Results) -> dict[str, Any]:
    """A goal with its figure, and with the lowest and highest of the single rounds."""
    rounds = [results[side][goal.metric] for side in goal.sides]

    def join(one: float, other: float | None = None) -> float:
        if other is None:
            return one
        return one - other if goal.minus else one / other

    value = join(*map(statistics.median, rounds))
    even = len({len(values) for values in rounds}) == 1
    single = [join(*values) for values in zip(*rounds, strict=True)] if even else [value]
    met = (goal.at_least is None or value >= goal.at_least) and (
        goal.at_most is None or value <= goal.at_most
    )
    return {**asdict(goal), "value": value, "lowest": min(single), "highest": max(single), "met": met}


def report(
    name: str,
    title: str,
    results: Results,
    *goals: Goal,
    quick: bool = False,
    libraries: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    curves: Sequence[Curve] = (),
) -> Path:
    """Print the figures, and write them with a picture.

    Args:
        name: of the files; letters, digits and hyphens.
        title: one line that says what was measured.
        results: from `measure`; several may be joined when their sides differ.
        goals: what the figures are held against; a benchmark may have none.
        quick: the sizes were small: it counts as a try, and is written to build/benchmarks/.
        libraries: name -> version of what the figures depend on (`versions`).
        notes: what a reader must know, a sentence each: data, sizes, settings, what is not measured.
        curves: pictures of how a figure grows, besides the bars.

    Returns:
        The JSON file.
    """
    figures = {
        side: {metric: list(values) for metric, values in each.items()} for side, each in results.items()
    }
    content = {
        "name": name,
        "title": title,
        "command": command(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine.describe(),
        "libraries": dict(sorted((libraries or {}).items())),
        "notes": list(notes),
        "results": figures,
        "goals": [reached(goal, results) for goal in goals],
        "curves": [asdict(curve) for curve in curves],
    }
    print(f"\n{text(content)}\n", flush=True)
    folder = TRIES if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    picture = plots.picture(title, figures, curves)
    (folder / f"{name}.svg").write_text(picture, encoding="utf-8", newline="\n")
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    return path


def command(argv: Sequence[str]) -> str:
    """The command that was typed, without the folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(argv[0]).name}", *words])


def text(content: Mapping[str, Any]) -> str:
    """A result for a terminal: a line for each metric and side, then the goals, then the machine."""
    metrics = list(dict.fromkeys(metric for side in content["results"].values() for metric in side))
    width = max([len(side) for side in content["results"]] + [8])
    lines = [content["title"]]
    for metric in metrics:
        lines.append(f"  {metric}")
        for side, figures in content["results"].items():
            if metric in figures:
                lines.append(f"    {side:<{width}}  {spread(figures[metric])}")
    lines += [f"  {goal_line(goal)}" for goal in content["goals"]]
    lines += [f"  {note}" for note in content["notes"]]
    lines.append(f"  {machine.line(content['machine'], content['libraries'])}")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest of the rounds."""
    low, middle, high = (
        plots.short_number(value) for value in (min(values), statistics.median(values), max(values))
    )
    return f"{middle:>8}  ({low} to {high}, {len(values)} rounds)" if len(values) > 1 else f"{middle:>8}"


def goal_line(goal: Mapping[str, Any]) -> str:
    """What was reached, what was aimed at, and whether that is enough."""
    verdict = (
        "" if target(goal) == "none" else f"  target {target(goal)}: {'met' if goal['met'] else 'MISSED'}"
    )
    return f"{goal['what']} against {goal['against']}: {figure(goal['value'], goal['unit'])}{verdict}"


def target(goal: Mapping[str, Any]) -> str:
    """What was aimed at, in short: ">= 3x"."""
    bounds = ((">=", goal["at_least"]), ("<=", goal["at_most"]))
    return (
        " and ".join(f"{sign} {bound:g}{goal['unit']}" for sign, bound in bounds if bound is not None)
        or "none"
    )


def figure(value: float, unit: str) -> str:
    """A figure with its unit."""
    return f"{value:.2f}{unit}"
