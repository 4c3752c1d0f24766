"""Following an execution with boto3 calls alone."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest
from documents import compare, condition, fail, parameter, pipeline, processing
from rich.console import Console

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.follow import Tail, follow
from mlops_workbench.sandbox.table import LiveView, PlainView, make_view

TWO = pipeline(
    processing("First", "print('hello'); print('world')", outputs={}),
    condition("Gate", [compare("Equals", 1, 1)], [], [fail("Never", "x")], DependsOn=["First"]),
)


def text_of(view: PlainView | LiveView, stream: io.StringIO, sandbox: Sandbox, arn: str) -> tuple[Any, str]:
    result = follow(sandbox.client("sagemaker"), arn, jobs_folder=sandbox.folder / "jobs", view=view)
    return result, stream.getvalue()


def test_without_a_terminal_lines_are_appended(start: Any, sandbox: Sandbox) -> None:
    stream = io.StringIO()
    result, shown = text_of(PlainView(Console(file=stream)), stream, sandbox, start(TWO).arn)
    assert result.status == "Succeeded"
    assert [step["StepName"] for step in result.steps] == ["First", "Gate"]
    assert "\x1b" not in shown
    lines = shown.splitlines()
    order = [
        next(i for i, line in enumerate(lines) if part in line) for part in ("Executing", "[First] hello")
    ]
    assert order == sorted(order)
    assert lines.index("[First] hello") + 1 == lines.index("[First] world")
    assert sum("First: Executing" in line for line in lines) == 1
    assert any("First: Succeeded" in line for line in lines)
    assert any(line.startswith("Never") and "not run" in line for line in lines)


def test_on_a_terminal_a_table_is_drawn(start: Any, sandbox: Sandbox) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    view = make_view(console)
    assert isinstance(view, LiveView)
    _, shown = text_of(view, stream, sandbox, start(TWO).arn)
    assert "hello" in shown
    assert "Succeeded" in shown
    assert "\x1b[" in shown


def test_a_failure_is_shown_with_the_end_of_the_log(
    start: Any, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; [print('line', n) for n in range(50)]; sys.exit(3)"
    running = start(pipeline(processing("Bad", code, outputs={})))
    follow(running.client, running.arn, jobs_folder=sandbox.folder / "jobs")
    shown = capsys.readouterr().out.splitlines()
    start_of_end = next(i for i, line in enumerate(shown) if line.startswith("Step 'Bad' failed: "))
    assert "exit code 3" in shown[start_of_end]
    path = shown[start_of_end + 1].removeprefix("The end of its log, ").removesuffix(":")
    assert Path(path).is_file()
    assert [line.strip() for line in shown[start_of_end + 2 :]][-1] == "line 49"
    assert len(shown) - start_of_end < 25


def test_every_attempts_lines_are_shown(start: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    shown_once = tmp_path / "shown"
    code = (
        f"import os, sys, time\nshown = lambda: os.path.exists({str(shown_once)!r})\n"
        "if shown(): print('again'); sys.exit()\n"
        "print('first', flush=True)\nwhile not shown(): time.sleep(0.02)\nsys.exit(1)"
    )
    policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 0, "MaxAttempts": 1}
    stream = io.StringIO()
    running = start(pipeline(processing("A", code, outputs={}, RetryPolicies=[policy])))

    def sleep(seconds: float) -> None:
        if "[A] first" in stream.getvalue():
            shown_once.touch()
        time.sleep(0.02)

    view, jobs = PlainView(Console(file=stream)), sandbox.folder / "jobs"
    assert follow(running.client, running.arn, jobs_folder=jobs, view=view, sleep=sleep).status == "Succeeded"
    shown = [line for line in stream.getvalue().splitlines() if line.startswith("[A]")]
    assert shown == ["[A] first", "[A] again"]


def test_an_interrupt_stops_the_execution_and_waits(start: Any, sandbox: Sandbox) -> None:
    running = start(pipeline(processing("Long", "import time; time.sleep(3600)", outputs={})))
    running.until(lambda: running.statuses().get("Long") == "Executing")
    interrupts = iter([KeyboardInterrupt()])

    def sleep(seconds: float) -> None:
        if (interrupt := next(interrupts, None)) is not None:
            raise interrupt

    stream = io.StringIO()
    result = follow(running.client, running.arn, view=PlainView(Console(file=stream)), sleep=sleep)
    assert result.status == "Stopped"
    assert "stopping the execution" in stream.getvalue()


def test_an_interrupt_can_leave_the_execution_alone(start: Any, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)"
    running = start(pipeline(processing("A", code, outputs={})))

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(running.client, running.arn, stop_on_interrupt=False, sleep=sleep)
    go.touch()
    assert running.wait().status == "Succeeded"


def test_a_hit_does_not_repeat_the_log(start: Any, sandbox: Sandbox) -> None:
    definition = pipeline(
        processing("A", "print('once')", outputs={}, CacheConfig={"Enabled": True}),
        parameters=[parameter("P", default="x")],
    )
    start(definition).wait()
    stream = io.StringIO()
    running = start(definition)
    _, shown = text_of(PlainView(Console(file=stream)), stream, sandbox, running.arn)
    assert "once" not in shown
    assert "taken from execution" in shown


def test_a_line_is_shown_when_it_is_whole(tmp_path: Path) -> None:
    log, tail = tmp_path / "log.txt", Tail()
    log.write_bytes(b"one\ntw")
    assert tail.new_lines(log) == ["one"]
    with log.open("ab") as more:
        more.write("o é".encode()[:-1])
    assert tail.new_lines(log) == []
    with log.open("ab") as more:
        more.write("é".encode()[-1:] + b"\nlast")
    assert tail.new_lines(log) == ["two é"]
    assert tail.new_lines(log, final=True) == ["last"]
    assert tail.new_lines(log, final=True) == []
