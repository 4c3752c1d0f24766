"""`make bench`: which benchmarks there are, and the table at the end."""

import json
import os

import pytest
import run


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


def test_it_waits_until_the_machine_is_quiet(monkeypatch):
    loads, slept = iter([3.0, 2.0, 0.5, 0.5]), []
    monkeypatch.setattr(run.machine, "load", lambda: next(loads))
    monkeypatch.setattr(run.time, "sleep", slept.append)
    run.wait_until_quiet()
    assert slept == [2, 2]
