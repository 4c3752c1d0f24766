"""``mlops-sandbox`` as a person or a CI server runs it: a real process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from documents import (
    BUCKET,
    compare,
    condition,
    fail,
    get,
    parameter,
    pipeline,
    processing,
    register,
    text,
)

import mlops_workbench.sandbox
from mlops_workbench.sandbox.cli import main
from tests.waiting import FOREVER, wait_for

WRITE = "open('/opt/ml/processing/out/x.json', 'w').write('{\"value\": 1}')"


class Cli:
    """Runs the command in a folder of its own."""

    def __init__(self, folder: Path, images: Path) -> None:
        self.folder = folder
        (folder / "sandbox.toml").write_text(images.read_text())
        # The environment of whoever runs the tests must not matter: no profile, no endpoint, no width.
        hidden = ("AWS_", "COLUMNS", "FORCE_COLOR", "TTY_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        # The package under test, whether it is installed or on a relative path.
        self.environment["PYTHONPATH"] = str(Path(mlops_workbench.sandbox.__file__).parents[2])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "mlops_workbench.sandbox.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=FOREVER)
        assert process.returncode == code, out + err
        assert "Traceback" not in err, err
        return out, err

    def here(self, *arguments: str) -> str:
        """Run a command in this process, where nothing about processes is tested; returns its output."""
        stream = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(stream):
            assert main(arguments) == 0
        return stream.getvalue()

    def definition(self, *steps: dict[str, Any], **more: Any) -> str:
        (self.folder / "pipeline.json").write_text(text(pipeline(*steps, **more)))
        return "pipeline.json"


@pytest.fixture
def cli(tmp_path: Path, images_file: Path) -> Cli:
    return Cli(tmp_path, images_file)


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for what a process does, or fail with what it said when it ends before."""
    wait_for(lambda: condition() or process.poll() is not None)
    if not condition():
        pytest.fail("".join(process.communicate(timeout=FOREVER)))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(*pids: int) -> None:
    """Wait until processes have ended."""
    wait_for(lambda: not any(map(alive, pids)))


LONG = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'], start_new_session=True)
if {deaf}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({path!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')
time.sleep(3600)
"""


def long_step(pids: Path, *, deaf: bool = False) -> dict[str, Any]:
    """Return a step that goes on for minutes, with a child in a session of its own; may "
    "not listen to SIGTERM."""
    return processing("Long", LONG.format(path=str(pids), deaf=deaf), outputs={}, max_runtime=600)


def job_pids(pids: Path, sandbox_pid: int) -> list[int]:
    """Return every process below the sandbox's; those of the job tell their ids from "
    "inside their namespace."""
    found: list[int] = []
    waiting = [sandbox_pid]
    while waiting:
        parent = waiting.pop()
        for thread in Path(f"/proc/{parent}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread may end while we look
                children = [int(pid) for pid in (thread / "children").read_text().split()]
                found += children
                waiting += children
    return found


def test_a_run_that_succeeds(cli: Cli) -> None:
    (cli.folder / "data").mkdir()
    (cli.folder / "data" / "a b.txt").write_text("one two")
    code = "print(open('/opt/ml/processing/in/a b.txt').read());" + WRITE
    definition = cli.definition(
        processing("Count", code, inputs={"in": f"s3://{BUCKET}/raw"}, arguments=[get("Parameters.Word")]),
        register("Register", "s3://b/model.tar.gz"),
        parameters=[parameter("Word")],
    )
    out, err = cli("run", definition, "--param", "Word=a=b", "--upload", f"data=s3://{BUCKET}/raw")
    assert err == ""
    assert "uploaded 1 file from data to s3://pipeline-tests/raw" in out
    assert "[Count] one two" in out
    assert re.search(r"^Count +Succeeded +[\d.]+ s", out, re.MULTILINE)
    assert "model package arn:aws:sagemaker:ca-central-1:111111111111:model-package/models/1 Pending" in out
    assert "execution Succeeded" in out
    # What was stored is there for the next command, in a new process.
    assert "model-package/models/1" in cli.here("packages")
    listed = cli.here("executions").splitlines()
    assert re.match(r"\w{12} +pipeline +[-\d]+ [:\d]+ +Succeeded +2 of 2", listed[1])
    assert "one two" in cli.here("logs", "last", "Count")
    assert "one two" in cli.here("logs", listed[1].split()[0], "Count")


@pytest.mark.slow
def test_a_second_run_takes_results_from_the_first(cli: Cli) -> None:
    definition = cli.definition(processing("A", WRITE, CacheConfig={"Enabled": True}))
    (cli.folder / "file.txt").write_text("x")
    upload = ("--upload", f"file.txt=s3://{BUCKET}/")
    cli("run", definition, *upload)
    assert "taken from execution" in cli("run", definition, *upload)[0]


def test_a_run_that_fails_shows_why(cli: Cli) -> None:
    code = "import sys; print('the cause'); sys.exit(4)"
    out, _ = cli("run", cli.definition(processing("Bad", code, outputs={})), code=1)
    assert "Step 'Bad' failed: AlgorithmError: exit code 4" in out
    end = out[out.index("The end of its log, ") :]
    assert "the cause" in end
    assert Path(re.search(r"The end of its log, (.*):", end)[1]).is_file()  # type: ignore[index]
    assert "execution Failed" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "nothing.json"], 1, "error: nothing.json: cannot be read: No such file or directory"),
        (["run", "pipeline.json", "--param", "Word"], 2, "expected NAME=VALUE, got 'Word'"),
        (
            ["run", "pipeline.json", "--param", "Wrd=1"],
            1,
            "error: parameter 'Wrd': the pipeline declares no such",
        ),
        (["run", "pipeline.json", "--upload", "x=s3://b"], 2, "x: no such file or folder"),
        (["run", "pipeline.json", "--upload", "x"], 2, "expected LOCAL=s3://BUCKET/PREFIX, got 'x'"),
        (["run", "pipeline.json", "--account", "1"], 1, "error: accounts: expected 12 digits, got '1'"),
        (["run", "pipeline.json", "--images", "no.toml"], 1, "error: no.toml: no such file"),
        (["validate", "sandbox.toml"], 1, "error: definition: not JSON"),
        (["logs", "last", "A"], 1, "no execution 'last'"),
        (["packages"], 1, "not a sandbox's folder"),
        (["nonsense"], 2, "invalid choice: 'nonsense'"),
        ([], 2, "required: COMMAND"),
    ],
)
def test_wrong_usage_is_one_line(
    cli: Cli,
    arguments: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.definition(fail("A", "x"), parameters=[parameter("Word", default="x")])
    monkeypatch.chdir(cli.folder)
    try:
        ended = main(arguments)
    except SystemExit as error:  # argparse
        ended = int(error.code or 0)
    assert ended == code
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "command", ["", "run", "validate", "serve", "executions", "packages", "logs", "reset"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*([command] if command else []), "--help"])
    assert caught.value.code == 0
    assert "usage: mlops-sandbox" in capsys.readouterr().out


def test_validate_says_everything_that_is_wrong(cli: Cli) -> None:
    bad = processing("A", arguments=[get("Parameters.Nope")])
    _, err = cli("validate", cli.definition(bad, processing("B", DependsOn=["Z"])), code=1)
    assert len(err.splitlines()) == 2
    step = processing("A")
    step["Arguments"]["RoleArn"] = "me"
    _, err = cli("validate", cli.definition(step), code=1)
    assert "step 'A': CreateProcessingJob: RoleArn" in err
    assert not (cli.folder / ".sandbox").exists()


def test_a_profile_that_is_not_there_is_in_nobodys_way(cli: Cli) -> None:
    cli.environment["AWS_PROFILE"] = "of-another-machine"
    assert "no executions" in cli("executions")[0]


def test_validate_does_not_ask_for_parameters(cli: Cli) -> None:
    gate = condition("Gate", [compare("Equals", get("Parameters.P"), "x")], [fail("No", "x")])
    out = cli.here("validate", cli.definition(gate, parameters=[parameter("P")]))
    assert "pipeline.json: valid; 2 steps, 1 parameters" in out
    assert "step No: Fail, in IfSteps of Gate" in out


def test_ctrl_c_stops_the_run_and_leaves_no_process(cli: Cli) -> None:
    pids = cli.folder / "pids"
    process = cli.start("run", cli.definition(long_step(pids), processing("After", DependsOn=["Long"])))
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), process)
    children = job_pids(pids, process.pid)
    assert len(children) >= 3
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=FOREVER)
    assert process.returncode == 1, out + err
    assert "Traceback" not in err
    assert "stopping the execution" in out
    assert re.search(r"^Long +Stopped", out, re.MULTILINE)
    assert "execution Stopped" in out
    wait_until_gone(*children)
    assert "Stopped" in cli.here("executions")


@pytest.mark.slow
def test_ctrl_c_typed_at_a_terminal_does_the_same(cli: Cli) -> None:
    # The terminal sends the signal to every process of the foreground, not to one.
    pids, shown = cli.folder / "pids", b""
    definition = cli.definition(long_step(pids))
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover
        os.chdir(cli.folder)
        os.execve(
            sys.executable,
            [sys.executable, "-m", "mlops_workbench.sandbox.cli", "run", definition],
            cli.environment,
        )
    children: list[int] = []
    limit = time.monotonic() + FOREVER
    while time.monotonic() < limit:
        if not children and pids.exists() and pids.read_text().endswith("\n"):
            children = job_pids(pids, pid)
            os.write(terminal, b"\x03")
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
    else:  # else a failure would be a test that never ends
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 1, shown.decode()
    assert b"execution Stopped" in shown
    assert b"\x1b[" in shown  # the live table
    assert children
    wait_until_gone(*children)


@pytest.mark.slow
def test_sigterm_does_the_same(cli: Cli) -> None:
    pids = cli.folder / "pids"
    process = cli.start("run", cli.definition(long_step(pids)))
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), process)
    children = job_pids(pids, process.pid)
    process.terminate()
    out, _ = process.communicate(timeout=FOREVER)
    assert "execution Stopped" in out
    wait_until_gone(*children)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_jobs_that_do_not_listen(cli: Cli) -> None:
    pids = cli.folder / "pids"
    process = cli.start("run", cli.definition(long_step(pids, deaf=True)))
    wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"), process)
    children = job_pids(pids, process.pid)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    next(line for line in process.stdout if "stopping the execution" in line)
    assert process.poll() is None  # it waits for the job, as the service does
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=FOREVER)
    assert process.returncode == 130, out + err
    wait_until_gone(*children)
    assert "interrupted" in cli.here("executions")


def test_after_kill_9_a_new_run_is_clean(cli: Cli) -> None:
    pids = cli.folder / "pids"
    definition = cli.definition(processing("Done", WRITE, CacheConfig={"Enabled": True}), long_step(pids))
    process = cli.start("run", definition, "--upload", f"sandbox.toml=s3://{BUCKET}/")
    journal = cli.folder / ".sandbox" / "executions"

    def both_steps() -> bool:
        records = [json.loads(path.read_text()) for path in journal.glob("*.json")]
        return pids.exists() and any(r["steps"].get("Done", {}).get("status") == "Succeeded" for r in records)

    wait_until(both_steps, process)
    children = job_pids(pids, process.pid)
    process.kill()
    process.communicate()
    wait_until_gone(*children)
    shown = cli.here("executions")
    assert "Failed" in shown
    assert f"interrupted: process {process.pid} ended before the execution did" in shown

    quick = cli.definition(processing("Done", WRITE, CacheConfig={"Enabled": True}))
    out, _ = cli("run", quick, "--upload", f"sandbox.toml=s3://{BUCKET}/")
    assert "execution Succeeded" in out
    # Its outputs went with the process that held them, so the earlier result could not be taken.
    assert "taken from" not in out
    rows = cli.here("executions").splitlines()[1:]
    assert [row.split()[4] for row in rows] == ["Succeeded", "Failed"]


@pytest.mark.slow
def test_serve_gives_other_programs_the_sandbox(cli: Cli) -> None:
    process = cli.start("serve", "--account", "222222222222", "--upload", f"sandbox.toml=s3://{BUCKET}/x/")
    try:
        lines = [process.stdout.readline() for _ in range(4)]  # type: ignore[union-attr]
        exported = dict(re.findall(r"^export (\w+)=(\S+)$", "".join(lines), re.MULTILINE))
        assert exported["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
        client = boto3.client(
            "s3",
            endpoint_url=exported["AWS_ENDPOINT_URL"],
            region_name="ca-central-1",
            aws_access_key_id=exported["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=exported["AWS_SECRET_ACCESS_KEY"],
        )
        assert client.list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"] == "x/sandbox.toml"
        _, err = cli("run", cli.definition(fail("A", "x")), code=1)
        assert re.search(rf"in use by process {process.pid}", err)
        cli.here("executions")  # reads the journal only
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=FOREVER)
    assert process.returncode == 0


@pytest.mark.slow
def test_reset_deletes_only_what_a_sandbox_keeps(cli: Cli) -> None:
    cli("run", cli.definition(fail("A", "x")), code=1)
    kept = cli.folder / ".sandbox" / "mine.txt"
    kept.write_text("mine")
    _, err = cli("reset", code=1)
    assert "add --yes" in err
    cli.here("reset", "--yes")
    assert kept.exists()
    assert not (cli.folder / ".sandbox" / "executions").exists()
    assert "nothing to delete" in cli.here("reset", "--yes")


@pytest.mark.slow
def test_a_step_reads_what_another_one_wrote_in_an_earlier_process(cli: Cli) -> None:
    cli("run", cli.definition(processing("A", WRITE, outputs={"out": f"s3://{BUCKET}/kept"})), code=1)
    # There was no bucket: the job says so. With one, the object outlives the process.
    upload = ("--upload", f"sandbox.toml=s3://{BUCKET}/")
    cli("run", cli.definition(processing("A", WRITE, outputs={"out": f"s3://{BUCKET}/kept"})), *upload)
    read = "print(open('/opt/ml/processing/in/x.json').read())"
    out, _ = cli(
        "run", cli.definition(processing("B", read, inputs={"in": f"s3://{BUCKET}/kept"}, outputs={}))
    )
    assert '[B] {"value": 1}' in out
