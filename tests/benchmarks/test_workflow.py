"""From a clone to a green run: how two builds are measured, and what is kept of it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import commands
import pytest
import rounds
import workflow
from workflow import Aim, CommandFailed, Part

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="adopts processes by prctl")

BURN = "import time\nwhile time.process_time() < 0.3: pass"
MAKEFILE = """setup:
\tmkdir -p .venv && cp "$$PIP_CACHE_DIR/wheel" .venv/ 2>/dev/null || head -c 300000 /dev/zero > .venv/wheel
\tmkdir -p "$$PIP_CACHE_DIR" && cp .venv/wheel "$$PIP_CACHE_DIR"
test:
\ttest -f .venv/wheel && test ! -e build && mkdir build && head -c 100000 /dev/zero > "$$TMPDIR/large"
\t@echo "==== 1 failed, 3 passed in 0.10s (0:00:01) ====" && false
demo:
\t@echo DEMO
"""


def repository(folder, demo):
    """A tiny collection, in git."""
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE.replace("DEMO", demo))
    (folder / ".gitignore").write_text(".venv/\nbuild/\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", *who, *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Where results go, with no waiting for a quiet machine and disk."""
    monkeypatch.setattr(rounds, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(rounds, "TRIES", tmp_path / "tries")
    monkeypatch.setattr(sys, "argv", ["benchmarks/workflow.py"])
    monkeypatch.setattr(workflow, "wait_until_quiet", lambda: None)
    monkeypatch.setattr(workflow, "settle", lambda: None)

    def read(part, folder="results"):
        return json.loads((tmp_path / folder / f"workflow-{part}.json").read_text(encoding="utf-8"))

    return read


def test_each_part_has_results_of_its_own_for_both_builds(tmp_path, written, capsys):
    now = repository(tmp_path / "this", "echo shown")
    before = repository(tmp_path / "that", "echo no such story; false")
    arguments = ["--against", str(before), "--folder", str(tmp_path)]
    assert workflow.main(["setup", "--rounds", "2", *arguments], now) == 0
    assert workflow.main(["test", "--rounds", "1", *arguments], now) == 0
    assert workflow.main(["demo", "--rounds", "2", *arguments], now) == 1
    commit = workflow.commit(before, "HEAD")[:7]
    setup, test, demo = map(written, ("setup", "test", "demo"))
    assert list(setup["results"]) == [workflow.NOW, commit]
    for figures in setup["results"].values():
        assert all(300_000 < value * 1e9 < 500_000 for value in figures["environments on disk, GB"])
        assert len(figures["from nothing, s"]) == len(figures["warm caches, processor time, s"]) == 2
    assert [goal["at_most"] for goal in setup["goals"]] == [0.33, 0.15, 0.6]
    # some tests failed, but all ran
    assert f"{commit}: 1 failed, 3 passed." in test["notes"]
    assert test["results"][commit]["temporary files at their peak, GB"][0] >= 100_000 / 1e9
    # the side that failed is left out, and says so; the other one has its figures
    assert len(demo["results"][workflow.NOW]["time, s"]) == 2 and commit not in demo["results"]
    assert demo["goals"] == []
    assert demo["notes"][-1] == f"{commit}: `make demo` ended with status 2; from there on it was left out."
    assert "no such story" in capsys.readouterr().out
    assert str(tmp_path) not in json.dumps([setup, test, demo])
    assert not list(tmp_path.glob("wf*"))


def test_what_was_measured_before_an_interruption_is_kept(tmp_path, written, monkeypatch):
    def measure(side, number):
        if number == 1 and side.name == workflow.NOW:
            raise KeyboardInterrupt
        if number == 1:
            raise CommandFailed("`it` ended")
        return {"time, s": 1.0 + len(side.name)}

    monkeypatch.setitem(workflow.PARTS, "demo", Part("A demo", measure, 2, (Aim("it", "time, s", 0.5),)))
    now = repository(tmp_path / "this", "echo")
    with pytest.raises(KeyboardInterrupt):
        workflow.main(["demo", "--against", "HEAD"], now)
    content = written("demo")
    assert len(content["results"]) == 2 and content["goals"][0]["at_most"] == 0.5
    assert "from there on it was left out" in content["notes"][-1]


def test_without_the_older_commit_this_build_is_measured_alone(tmp_path, written, capsys):
    now = repository(tmp_path / "this", "echo shown")
    assert workflow.main(["demo", "--rounds", "1", "--folder", str(tmp_path)], now) == 0
    assert list(written("demo")["results"]) == [workflow.NOW]
    assert "no history with 7bcb047 here (git fetch --unshallow)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["setups"], "expected names of parts (setup, test,"),
        (["demo", "--against", "nowhere"], "expected a checkout or a commit, found neither: nowhere"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path, capsys, words, told):
    with pytest.raises(SystemExit):
        workflow.main(words, repository(tmp_path / "this", "echo"))
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("printed", "counted"),
    [
        ("....\n==== 3 passed, 1 skipped in 12.30s ====\n", "3 passed, 1 skipped"),
        ("12 passed in 0.52s\nmake: done\n", "12 passed"),
        ("= 1 failed, 920 passed, 2 errors in 395.12s (0:06:35) =", "1 failed, 920 passed, 2 errors"),
        ("make: *** [Makefile:44: setup-build] Error 1", ""),
        ("no tests ran in 0.01s", ""),
    ],
)
def test_what_pytest_counted_is_told(printed, counted):
    assert workflow.tests_of(printed) == counted


def test_a_command_has_a_persons_settings_and_other_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://example.org/simple")
    monkeypatch.setenv("MAKEFLAGS", "-j")
    monkeypatch.setenv("MLOPS_TERRAFORM_PLUGINS", "/mirror")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.prefix, "bin")), "/usr/bin"]))
    found = workflow.variables(tmp_path / "caches", tmp_path / "t")
    assert found["PIP_INDEX_URL"] == "https://example.org/simple"
    assert found["MLOPS_TERRAFORM_PLUGINS"] == "/mirror"
    assert "MAKEFLAGS" not in found
    assert found["PIP_CACHE_DIR"] == str(tmp_path / "caches/pip") and found["TMPDIR"] == str(tmp_path / "t")
    if sys.prefix != sys.base_prefix:
        assert found["PATH"] == "/usr/bin"


@linux
def test_processor_time_is_that_of_detached_processes_too_and_they_are_ended(tmp_path):
    stays, burn, pid = tmp_path / "stays.py", tmp_path / "burn.py", tmp_path / "pid"
    burn.write_text(BURN)
    stays.write_text(f"import os\n{BURN}\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    between = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, {str(stays)!r}], start_new_session=True)"
    )
    # one has ended and nobody has waited for it; one stays, and its parent has gone
    program = f"""
import os, subprocess, sys, time
ends = subprocess.Popen([sys.executable, {str(burn)!r}], start_new_session=True)
subprocess.run([sys.executable, "-c", {between!r}])
os.waitid(os.P_PID, ends.pid, os.WEXITED | os.WNOWAIT)
while not (os.path.exists({str(pid)!r}) and open({str(pid)!r}).read()):
    time.sleep(0.02)
"""
    spent = commands.run([sys.executable, "-c", program], tmp_path, dict(os.environ), tmp_path / "log")
    assert (spent.status, spent.left) == (0, 1)
    assert spent.processor >= 0.6
    assert not Path("/proc", pid.read_text()).exists()


@linux
def test_whoever_ends_a_command_ends_all_that_it_has_started(tmp_path):
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    between = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}], start_new_session=True)"
    )
    command = [sys.executable, "-I", commands.__file__, tmp_path / "spent", sys.executable, "-c", between]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as launcher:
        pid = launcher.stdout.readline().decode().strip()
        launcher.send_signal(signal.SIGTERM)
        launcher.wait()
    assert pid and not Path("/proc", pid).exists()


def test_a_file_of_two_names_takes_its_space_once(tmp_path):
    (tmp_path / "bare").mkdir()
    bare = commands.size(tmp_path)
    (tmp_path / "bare/one").write_bytes(bytes(1 << 20))
    os.link(tmp_path / "bare/one", tmp_path / "two")
    assert 1 << 20 <= commands.size(tmp_path) - bare < 1.5 * (1 << 20)


@pytest.mark.slow  # the same flow as above, with the real templates and commands that set nothing up
def test_the_quick_form_runs_all_parts(tmp_path, written):
    if not workflow.commit(rounds.ROOT, "HEAD"):
        pytest.skip("no git history here")
    assert workflow.main(["--quick", "--folder", str(tmp_path)]) == 0
    for part in workflow.PARTS:
        found = written(part, "tries")["results"]
        assert all(values for figures in found.values() for values in figures.values())
    assert not (tmp_path / "results").exists()
