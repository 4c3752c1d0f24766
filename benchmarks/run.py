"""Runs the benchmarks one after the other and shows what was aimed at and reached: `make bench`.

    python benchmarks/run.py                       # all, at full size: for a quiet machine
    python benchmarks/run.py --quick               # small sizes, some minutes: shows that they run
    python benchmarks/run.py generate sandbox      # some of them
    python benchmarks/run.py workflow -- setup     # one of them, with options of its own

Before each it waits until the machine is quiet, at most three minutes, as the one before leaves a load. At
full size the figures of docs/ are written anew. One that fails does not keep the others from running; the
exit status is 1 then.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import machine
import rounds
from rounds import RESULTS, ROOT, TRIES

LONGEST_WAIT = 180  # seconds


class Benchmark(NamedTuple):
    """A script of this folder and its arguments; some run twice."""

    script: str
    arguments: tuple[str, ...] = ()


# the short ones first
BENCHMARKS = (
    Benchmark("generate"),
    Benchmark("sandbox"),
    Benchmark("preprocess"),
    Benchmark("batch_steps"),
    Benchmark("endpoint"),
    Benchmark("serving_container"),
    Benchmark("serving"),
    Benchmark("batch"),
    Benchmark("batch_growth"),
    Benchmark("batch_sweep"),
    Benchmark("targets"),
    Benchmark("training"),
    Benchmark("training", ("--ranks", "2")),
    Benchmark("workflow"),
)
# it makes clones and environments, for hours: only when it is named
ONLY_BY_NAME = {"workflow"}


def main() -> int:
    """Run those that are wanted; the exit status is 1 if one failed."""
    names = list(dict.fromkeys(each.script for each in BENCHMARKS))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"those wanted: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds, to try them")
    ours, theirs = split(sys.argv[1:])
    options = parser.parse_args(ours)
    if unknown := sorted(set(options.names) - set(names)):
        parser.error(f"expected names of benchmarks ({', '.join(names)}), got {', '.join(unknown)}")
    if theirs and len(options.names) != 1:
        parser.error(f"options after -- go to one benchmark, and {len(options.names)} are named")
    wanted = [
        Benchmark(each.script, (*each.arguments, *theirs))
        for each in BENCHMARKS
        if each.script in (options.names or set(names) - ONLY_BY_NAME)
    ]
    began, failed = time.time(), []
    for number, each in enumerate(wanted, 1):
        if not options.quick:
            wait_until_quiet()
        said = " ".join([each.script, *each.arguments])
        print(f"[{number}/{len(wanted)}] {said}", flush=True)
        start = time.monotonic()
        if run(each, options.quick):
            failed.append(said)
        print(f"[{number}/{len(wanted)}] {said}: {elapsed(time.monotonic() - start)}\n", flush=True)
    print(table(TRIES if options.quick else RESULTS, since=began))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    if not options.quick:
        subprocess.run([sys.executable, ROOT / "tools/docs_performance.py"], check=True)
    return 1 if failed else 0


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before the first "--", and what follows it."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def run(benchmark: Benchmark, quick: bool) -> int:
    """Run one; its exit status."""
    script = Path(__file__).with_name(f"{benchmark.script}.py")
    more = ["--quick"] if quick else []
    return subprocess.run([sys.executable, script, *benchmark.arguments, *more], cwd=ROOT).returncode


def wait_until_quiet() -> None:
    """Wait for the load of what ran before to go, but not for ever: the result says what the load was."""
    limit, said = time.monotonic() + LONGEST_WAIT, False
    while (machine.load() or 0) > machine.QUIET and time.monotonic() < limit:
        if not said:
            print(f"waiting for a load below {machine.QUIET:g} (at most {LONGEST_WAIT} s)", flush=True)
            said = True
        time.sleep(2)


def table(folder: Path, since: float = 0) -> str:
    """What was aimed at and reached, of the results that were written since then."""
    rows: list[tuple[str, ...]] = [("what", "beside", "target", "measured", "")]
    rows += goals(path for path in sorted(folder.glob("*.json")) if path.stat().st_mtime >= since)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def goals(paths: Iterable[Path]) -> Iterator[tuple[str, ...]]:
    """The goals of some results, a row each."""
    for path in paths:
        content = json.loads(path.read_text(encoding="utf-8"))
        rough = ", rough" if machine.rough(content["machine"]) else ""
        for goal in content["goals"]:
            target = rounds.target(goal)
            verdict = rough[2:] if target == "none" else ("met" if goal["met"] else "MISSED") + rough
            shown = "" if target == "none" else target
            yield goal["what"], goal["against"], shown, rounds.figure(goal["value"], goal["unit"]), verdict


def elapsed(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds >= 60 else f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
