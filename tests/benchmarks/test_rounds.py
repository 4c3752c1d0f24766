"""How `make bench` runs the benchmarks, their own arithmetic, and what they write."""

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import plots
import pytest
import rounds
import run
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
        # of one side: 1, 5 and 2
        (Goal("time", "itself", "time, s", ("ours",), at_most=2, unit=" s"), 2, 1, 5, True),
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


@pytest.mark.parametrize(
    "benchmark", run.BENCHMARKS, ids=lambda each: " ".join([each.script, *each.arguments])
)
def test_what_make_bench_runs_is_there(benchmark):
    assert (run.ROOT / f"benchmarks/{benchmark.script}.py").is_file()


def test_the_table_shows_what_was_reached_in_this_run(tmp_path):
    goal = {"against": "theirs", "value": 2.5, "unit": "x", "at_most": None, "met": False}
    for name, load, bound in (("old", 0.1, 3), ("new", 2.0, 3), ("plain", 0.1, None)):
        content = {
            "machine": {"load_at_start": load},
            "goals": [{**goal, "what": name, "at_least": bound}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    stamp = (tmp_path / "old.json").stat().st_mtime
    os.utime(tmp_path / "old.json", (stamp - 100, stamp - 100))
    assert run.table(tmp_path, since=stamp - 50).splitlines() == [
        "what   beside  target  measured",
        "new    theirs  >= 3x   2.50x     MISSED, rough",
        "plain  theirs          2.50x",
    ]


def test_a_name_that_is_no_benchmark_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "generat"])
    with pytest.raises(SystemExit):
        run.main()
    assert "expected names of benchmarks (generate, sandbox," in capsys.readouterr().err


def test_options_of_its_own_go_to_one_benchmark(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(run, "run", lambda benchmark, quick: ran.append((benchmark, quick)) or 0)
    monkeypatch.setattr("sys.argv", ["run.py", "--quick", "workflow", "--", "setup", "--rounds", "1"])
    assert run.main() == 0
    assert ran == [(run.Benchmark("workflow", ("setup", "--rounds", "1")), True)]
    monkeypatch.setattr("sys.argv", ["run.py", "--quick", "--", "setup"])
    with pytest.raises(SystemExit):
        run.main()
    assert "options after -- go to one benchmark, and 0 are named" in capsys.readouterr().err


def test_what_takes_hours_runs_only_when_it_is_named(monkeypatch):
    ran = []
    monkeypatch.setattr(run, "run", lambda benchmark, quick: ran.append(benchmark.script) or 0)
    monkeypatch.setattr("sys.argv", ["run.py", "--quick"])
    assert run.main() == 0
    assert "generate" in ran and not set(ran) & run.ONLY_BY_NAME


def test_it_waits_until_the_machine_is_quiet(monkeypatch):
    loads, slept = iter([3.0, 2.0, 0.5, 0.5]), []
    monkeypatch.setattr(run.machine, "load", lambda: next(loads))
    monkeypatch.setattr(run.time, "sleep", slept.append)
    run.wait_until_quiet()
    assert slept == [2, 2]
