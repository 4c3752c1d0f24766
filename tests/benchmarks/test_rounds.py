"""The benchmarks' own arithmetic, and what they write."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import plots
import processes
import pytest
import rounds
from rounds import Curve, Goal


def sides(order):
    def side(name, values):
        left = iter(values)

        def run():
            order.append(name)
            return {"time, s": next(left)}

        return run

    return {"ours": side("ours", [1, 5, 2]), "theirs": side("theirs", [4, 10, 9])}


def test_the_sides_alternate_and_every_other_round_is_reversed():
    order = []
    found = rounds.measure(sides(order), 3)
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert found == {"ours": {"time, s": [1, 5, 2]}, "theirs": {"time, s": [4, 10, 9]}}


def test_a_side_that_changes_its_figures_is_refused():
    figures = iter([{"time, s": 1}, {"seconds": 1}])
    with pytest.raises(ValueError, match="ours: round 1 had"):
        rounds.measure({"ours": lambda: next(figures)}, 2)


@pytest.mark.parametrize(
    ("goal", "value", "lowest", "highest", "met"),
    [
        # medians 9 and 2; of the rounds 4, 2 and 4.5
        (Goal("time", "theirs", "time, s", ("theirs", "ours"), at_least=3), 4.5, 2, 4.5, True),
        (Goal("time", "theirs", "time, s", ("theirs", "ours"), at_least=5), 4.5, 2, 4.5, False),
        (
            Goal("time", "theirs", "time, s", ("theirs", "ours"), at_most=7, minus=True, unit=" s"),
            7,
            3,
            7,
            True,
        ),
        (Goal("time", "theirs", "time, s", ("theirs", "ours")), 4.5, 2, 4.5, True),
    ],
)
def test_a_goal_is_held_against_the_medians(goal, value, lowest, highest, met):
    found = rounds.reached(goal, rounds.measure(sides([]), 3))
    assert (found["value"], found["lowest"], found["highest"], found["met"]) == (value, lowest, highest, met)


@pytest.mark.parametrize("quick", [True, False])
def test_a_report_is_printed_and_written_with_a_picture(tmp_path, monkeypatch, capsys, quick):
    monkeypatch.setattr(rounds, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(rounds, "TRIES", tmp_path / "tries")
    monkeypatch.setattr(sys, "argv", ["benchmarks/demo.py", "--work", str(tmp_path), "--rounds", "3"])
    path = rounds.report(
        "demo",
        "A <demo>",
        rounds.measure(sides([]), 3),
        Goal("time", "theirs", "time, s", ("theirs", "ours"), at_least=5),
        quick=quick,
        libraries=rounds.versions("pytest", "no-such-package"),
        notes=["Numbers from a list."],
        curves=[Curve("growth", "rows", "MiB", {"ours": [(10, 1.5), (1000, 1.5)]})],
    )
    assert path == tmp_path / ("tries" if quick else "results") / "demo.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["command"] == f"python benchmarks/demo.py --work {tmp_path.name} --rounds 3"
    assert content["results"]["ours"] == {"time, s": [1, 5, 2]}
    assert content["libraries"] == {"pytest": pytest.__version__}
    assert content["machine"]["cores"] >= 1 and content["machine"]["processor"]
    assert str(Path.home()) not in path.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "time against theirs: 4.50x  target >= 5x: MISSED" in printed
    assert "(4 to 10, 3 rounds)" in printed
    root = ElementTree.parse(path.with_suffix(".svg")).getroot()
    assert root.get("aria-label") == "A <demo>: time, s: ours 2, theirs 9"
    assert "ours: 1,000 rows, 1.5 MiB" in [title.text for title in root.iter() if title.tag.endswith("title")]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.5, "1.5"), (12.34, "12.3"), (448.2, "448"), (1234567.8, "1,234,568")],
)
def test_numbers_are_short(value, text):
    assert plots.short_number(value) == text


def test_a_process_is_measured_by_itself():
    hungry = "import time\ndata = bytearray(60 << 20)\nwhile time.process_time() < 0.2: pass"
    small, large = (
        processes.run([sys.executable, "-c", "pass"]),
        processes.run([sys.executable, "-c", hungry]),
    )
    assert large.peak - small.peak > 50
    assert large.seconds >= large.processor - 0.2 and large.processor >= 0.2


def test_a_process_that_fails_ends_the_benchmark():
    with pytest.raises(SystemExit, match="failed"):
        processes.run([sys.executable, "-c", "raise SystemExit(3)"])
