"""Process trees, and which Python stands for which image."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from mlops_workbench.sandbox.containers.process import Process, wait_all
from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.images import Images, ImagesError
from tests.waiting import wait_for

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def start(code, tmp_path, lines=None, environment=ENVIRONMENT):
    command = [sys.executable, "-u", "-c", textwrap.dedent(code)]
    return Process(command, environment, tmp_path, (lines if lines is not None else []).append)


def finish(*processes, stop=None, grace=5.0, deadline=None):
    return wait_all(processes, stop=stop or threading.Event(), grace=grace, deadline=deadline)


def running(marker):
    found = subprocess.run(["pgrep", "-f", f"^sleep {marker}"], capture_output=True, text=True)
    states = [subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout
              for pid in found.stdout.split()]  # fmt: skip
    return [state for state in states if state.strip() and not state.startswith("Z")]


def test_lines_of_both_streams_and_progress_bars_come_one_by_one(tmp_path):
    lines: list[str] = []
    code = r"""
        import sys
        print("out"); print("err", file=sys.stderr)
        sys.stdout.write("\r 10%\r 20%\nend without newline é")
    """
    assert finish(start(code, tmp_path, lines)) == ([0], "ended")
    assert sorted(lines) == sorted(["out", "err", " 10%", " 20%", "end without newline é"])


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_status_is_that_of_the_command(tmp_path, code, status):
    assert finish(start(code, tmp_path)) == ([status], "ended")


def test_a_command_that_does_not_exist_is_127(tmp_path):
    lines: list[str] = []
    assert Process(["no-such-command"], ENVIRONMENT, tmp_path, lines.append).wait() == 127
    assert lines == ["no-such-command: No such file or directory"]


def test_a_stop_is_a_sigterm_that_the_command_can_act_on(tmp_path):
    lines: list[str] = []
    stop = threading.Event()
    code = """
        import signal, sys, time
        def save(*_): print("saved"); sys.exit(0)
        signal.signal(signal.SIGTERM, save); print("ready"); time.sleep(60)
    """
    process = start(code, tmp_path, lines)
    wait_for(lambda: lines)
    stop.set()
    assert finish(process, stop=stop) == ([0], "stopped")
    assert lines == ["ready", "saved"]


def test_a_script_can_act_on_a_stop_that_ends_its_launcher(tmp_path):
    lines: list[str] = []
    stop = threading.Event()
    script = """
import os, signal, sys, time
def save(*_): time.sleep(0.3); os.write(1, b"saved\\n"); sys.exit(0)
signal.signal(signal.SIGTERM, save); print("ready", flush=True); time.sleep(60)
"""
    process = start(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])", tmp_path, lines
    )
    wait_for(lambda: lines)
    stop.set()
    assert finish(process, stop=stop) == ([143], "stopped")
    assert lines == ["ready", "saved"]


def test_what_ignores_a_stop_is_killed_after_the_grace_period(tmp_path):
    lines: list[str] = []
    stop = threading.Event()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
    process = start(code, tmp_path, lines)
    wait_for(lambda: lines)
    stop.set()
    begin = time.monotonic()
    assert finish(process, stop=stop, grace=0.5) == ([137], "stopped")
    assert time.monotonic() - begin > 0.4


def test_the_deadline_ends_a_command(tmp_path):
    statuses, why = finish(start("import time; time.sleep(60)", tmp_path), deadline=time.monotonic() + 0.5)
    assert (statuses, why) == ([143], "timed out")


def test_when_one_host_fails_the_others_are_ended(tmp_path):
    sleeper = start("import time; time.sleep(60)", tmp_path)
    assert finish(sleeper, start("raise SystemExit(4)", tmp_path)) == ([143, 4], "ended")


SPAWN = """
    import subprocess
    subprocess.Popen(["sleep", "{marker}"])
    subprocess.Popen(["sleep", "{marker}"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "setsid sleep {marker} & exit 0"]).wait()
    print("spawned")
"""


def test_nothing_is_left_when_the_command_ends(tmp_path):
    assert finish(start(SPAWN.format(marker=7301), tmp_path))[0] == [0]
    assert running(7301) == []


def test_nothing_is_left_after_a_kill(tmp_path):
    lines: list[str] = []
    process = start(SPAWN.format(marker=7302) + "\n    import time; time.sleep(60)", tmp_path, lines)
    wait_for(lambda: lines)
    assert len(running(7302)) == 3
    process.kill()
    assert running(7302) == []


def test_nothing_is_left_when_the_sandboxs_process_is_killed(tmp_path):
    program = f"""
        import os, signal, sys
        from pathlib import Path
        from mlops_workbench.sandbox.containers.process import Process
        def line(text): os.kill(os.getpid(), signal.SIGKILL)
        code = {textwrap.dedent(SPAWN.format(marker=7303)) + "import time; time.sleep(60)"!r}
        Process([sys.executable, "-u", "-c", code], {ENVIRONMENT!r}, Path({str(tmp_path)!r}), line).wait()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)])
    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: running(7303) == [])


def test_the_temporary_folder_is_private_and_removed(tmp_path):
    lines: list[str] = []
    code = "import tempfile; print(tempfile.mkdtemp()); print(tempfile.gettempdir())"
    finish(start(code, tmp_path, lines))
    inside, folder = lines
    assert inside.startswith(folder)
    assert not os.path.exists(folder)


def test_the_command_has_no_input_and_only_its_own_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    lines: list[str] = []
    code = "import os, sys; print(repr(sys.stdin.read())); print('SECRET_OF_THE_HOST' in os.environ)"
    finish(start(code, tmp_path, lines))
    assert lines == ["''", "False"]


def write(tmp_path, text):
    path = tmp_path / "sandbox.toml"
    path.write_text(text)
    return path


def test_the_first_entry_that_matches_wins_and_paths_are_relative_to_the_file(tmp_path):
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    path = write(
        tmp_path,
        f"""
        [[image]]
        match = "pytorch-training:2"
        python = "env/bin/python"
        environment = {{ HF_HUB_OFFLINE = "0" }}
        [[image]]
        match = "pytorch"
        python = "{sys.executable}"
        """,
    )
    images = Images.load(path)
    first = images.find("123.dkr.ecr.x.amazonaws.com/huggingface-pytorch-training:2.9")
    # The link itself, not what it leads to: that is how a virtual environment is found.
    assert first.python == folder / "python"
    assert first.environment == {"HF_HUB_OFFLINE": "0"}
    assert str(images.python_for("pytorch-inference:2")) == sys.executable


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[image]\n", "not valid TOML"),
        ("", r"image: expected at least one \[\[image\]\] table, got none"),
        ("[[images]]\nmatch='x'", "image: expected at least one"),
        ("[[image]]\nmatch='x'\npython='y'\n[other]", "other: unknown key"),
        ("[[image]]\nmatch='x'\npyton='y'", "image 1: pyton: unknown key"),
        ("[[image]]\nmatch='x'", "image 1: python: expected a string, got None"),
        ("[[image]]\nmatch=1\npython='y'", "image 1: match: expected a string, got 1"),
        ("[[image]]\nmatch='('\npython='y'", r"match: expected a regular expression, got '\('"),
        ("[[image]]\nmatch='x'\npython='y'\nenvironment={A=1}", "environment: expected a table of strings"),
    ],
)
def test_a_bad_file_is_explained_in_one_line(tmp_path, text, message):
    with pytest.raises(ImagesError, match=message) as error:
        Images.load(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "sandbox.toml"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImagesError, match="no such file; it says which Python"):
        Images.load(tmp_path / "sandbox.toml")


def test_an_image_that_nothing_matches_is_named_with_what_there_is(tmp_path):
    images = Images.load(write(tmp_path, "[[image]]\nmatch='training'\npython='python'"))
    with pytest.raises(
        JobFailed, match=r'no \[\[image\]\] entry matches inference:1 \(entries: "training"\)'
    ):
        images.find("inference:1")


def test_an_interpreter_that_does_not_exist_is_named(tmp_path):
    images = Images.load(write(tmp_path, "[[image]]\nmatch='training'\npython='none/python'"))
    with pytest.raises(JobFailed, match="none/python, which is not an executable file"):
        images.find("training:1")
