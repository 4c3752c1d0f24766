"""Writes measured figures into the documentation: no figure of a benchmark is typed by hand.

    python tools/docs_performance.py            # fill the pages of docs/ in, from benchmarks/results/
    python tools/docs_performance.py --check    # say which pages are not in step; also a test

On a page, everything between these lines is written here; the last of them is added where it is missing:

    <!-- targets -->                what was aimed at and reached, of all benchmarks
    <!-- end of targets -->
    <!-- workflow -->               both builds side by side, from a clone to a green run
    <!-- end of workflow -->
    <!-- benchmark: endpoint -->    one benchmark: figures, picture, machine, command
    <!-- end of benchmark -->

What was measured while the machine was not quiet is called rough.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[1]
sys.path.append(str(COLLECTION / "benchmarks"))

import machine  # noqa: E402
import plots  # noqa: E402
import rounds  # noqa: E402
import workflow  # noqa: E402 - found by the path above, as those before it

DOCS, RESULTS = COLLECTION / "docs", COLLECTION / "benchmarks/results"

_TARGETS = re.compile(r"^<!-- targets -->\n(?:.*?^<!-- end of targets -->\n)?", re.MULTILINE | re.DOTALL)
_WORKFLOW = re.compile(r"^<!-- workflow -->\n(?:.*?^<!-- end of workflow -->\n)?", re.MULTILINE | re.DOTALL)
_BENCHMARK = re.compile(
    r"^<!-- benchmark: (?P<name>[\w-]+) -->\n(?:(?:(?!<!-- benchmark:).)*?^<!-- end of benchmark -->\n)?",
    re.MULTILINE | re.DOTALL,
)

Result = Mapping[str, Any]


def main() -> int:
    """Fill in or check; the exit status is 1 if a page was not in step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    check = parser.parse_args().check
    found = results()
    stale = [path for path in sorted(DOCS.glob("*.md")) if _fill(path, found, check)]
    for path in stale:
        print(
            f"{path.relative_to(COLLECTION)}: {'not in step with benchmarks/results' if check else 'written'}"
        )
    if check and stale:
        print("To write them: python tools/docs_performance.py", file=sys.stderr)
    return 1 if check and stale else 0


def results(folder: Path = RESULTS) -> dict[str, Result]:
    """Name -> result, of all benchmarks that were measured."""
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {content["name"]: content for content in contents}


def _fill(path: Path, found: Mapping[str, Result], check: bool) -> bool:
    """Whether a page was not in step; it is afterwards, unless it is only checked."""
    before = path.read_text(encoding="utf-8")
    after = filled(before, found)
    if before != after and not check:
        path.write_text(after, encoding="utf-8", newline="\n")
    return before != after


def filled(page: str, found: Mapping[str, Result]) -> str:
    """A page with its blocks written anew; filling it in once more changes nothing."""
    page = _TARGETS.sub(lambda _: f"<!-- targets -->\n\n{targets(found)}\n\n<!-- end of targets -->\n", page)
    page = _WORKFLOW.sub(
        lambda _: f"<!-- workflow -->\n\n{side_by_side(found)}\n\n<!-- end of workflow -->\n", page
    )

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        text = benchmark(found[name]) if name in found else "Not measured yet."
        return f"<!-- benchmark: {name} -->\n\n{text}\n\n<!-- end of benchmark -->\n"

    return _BENCHMARK.sub(block, page)


def targets(found: Mapping[str, Result]) -> str:
    """The table of what was aimed at, with a warning where the machine was not quiet."""
    lines = ["| what | beside | target | measured | | by |", "| --- | --- | --- | --- | --- | --- |"]
    for name, content in found.items():
        for goal in content["goals"]:
            if rounds.target(goal) == "none":
                continue
            measured = _measured(goal, content)
            verdict = "met" if goal["met"] else "**missed**"
            cells = (goal["what"], goal["against"], _target(goal), measured, verdict, f"`{name}`")
            lines.append(f"| {' | '.join(cells)} |")
    rough = [name for name, content in found.items() if machine.rough(content["machine"])]
    warning = []
    if rough:
        names = ", ".join(f"`{name}`" for name in rough)
        warning = [
            f"**Rough figures**: others were at work on the machine (a load above {machine.QUIET:g}) as",
            f"these began: {names}. They show what is measured, not how much it is.",
            "",
        ]
    return "\n".join([*warning, *lines]) if found else "Not measured yet."


def side_by_side(found: Mapping[str, Result]) -> str:
    """The table of the workflow: a row for each figure that was aimed at, measured or not."""
    lines = ["| what | before | now | now / before | target | | measured |", "| --- |" + " --- |" * 6]
    for name, part in workflow.PARTS.items():
        for aim in part.aims:
            lines.append(f"| {' | '.join(_beside(aim, found.get(f'workflow-{name}')))} |")
    return "\n".join(lines)


def _beside(aim: workflow.Aim, content: Result | None) -> tuple[str, ...]:
    """A row: both builds' figures, what was reached, and when that was."""
    unit = f" {aim.metric.rpartition(', ')[2]}"
    aimed = "" if aim.at_most is None else f"at most {aim.at_most:g}{unit if aim.alone else 'x'}"
    if content is None:
        return aim.what, "not measured yet", "", "", aimed, "", ""
    figures = content["results"]
    before = next((side for side in figures if side != workflow.NOW), "")
    both = (figures.get(side, {}).get(aim.metric) for side in (before, workflow.NOW))
    shown = [f"{_spread(values)}{unit}" if values else "not measured" for values in both]
    goal = next((each for each in content["goals"] if each["what"] == aim.what), None)
    ratio = "" if goal is None or aim.alone else _measured(goal, content)
    verdict = "" if goal is None or not aimed else "met" if goal["met"] else "**missed**"
    rough = ", rough" if machine.rough(content["machine"]) else ""
    return (
        aim.what,
        *shown,
        ratio,
        aimed,
        verdict,
        f"{content['date']}, beside {before or 'nothing'}{rough}",
    )


def _measured(goal: Mapping[str, Any], content: Result) -> str:
    """What was reached; with the lowest and highest of the rounds, where there are several."""
    value = f"**{rounds.figure(goal['value'], goal['unit'])}**"
    if all(len(content["results"][side][goal["metric"]]) == 1 for side in goal["sides"]):
        return value
    return f"{value} ({' to '.join(plots.short_number(goal[key]) for key in ('lowest', 'highest'))})"


def benchmark(content: Result) -> str:
    """One benchmark: its figures, its picture, what it ran on, and the command."""
    figures = content["results"]
    metrics = list(dict.fromkeys(metric for side in figures.values() for metric in side))
    lines = [f"![{content['title']}](../benchmarks/results/{content['name']}.svg)", ""]
    lines += [f"| median (lowest to highest) | {' | '.join(metrics)} |", "| --- |" + " --- |" * len(metrics)]
    for side, values in figures.items():
        cells = [_spread(values[metric]) if metric in values else "" for metric in metrics]
        lines.append(f"| {side} | {' | '.join(cells)} |")
    lines.append("")
    for goal in content["goals"]:
        aim = "" if rounds.target(goal) == "none" else f" (target {_target(goal)})"
        value = rounds.figure(goal["value"], goal["unit"])
        lines.append(f"* {goal['what']}, beside {goal['against']}: **{value}**{aim}")
    lines += [f"* {note}" for note in content["notes"]]
    ran = machine.line(content["machine"], content["libraries"])
    return "\n".join([*lines, "", f"`{content['command']}`, {content['date']}: {ran}."])


def _spread(values: Sequence[float]) -> str:
    low, middle, high = (
        plots.short_number(value) for value in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def _target(goal: Mapping[str, Any]) -> str:
    return rounds.target(goal).replace(">=", "at least").replace("<=", "at most")


if __name__ == "__main__":
    sys.exit(main())
