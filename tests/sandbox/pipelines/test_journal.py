"""The record of executions on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import (
    ExecutionRecord,
    Journal,
    StepRecord,
    is_alive,
    mark_interrupted,
    process_identity,
)


def record(id_: str = "abc", **more: object) -> ExecutionRecord:
    """Return a running execution with one running step."""
    fields = {"status": "Executing", "created": 1.0, "modified": 1.0, "definition": "{}", **more}
    made = ExecutionRecord(id_, f"arn:{id_}", "p", "arn:p", **fields)  # type: ignore[arg-type]
    made.steps["A"] = StepRecord("A", "Training", status="Executing", start=1.0)
    made.steps["Z"] = StepRecord("Z", "Training", status="Succeeded", start=1.0, end=2.0)
    return made


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Steps included, oldest execution first."""
    journal = Journal(tmp_path / "executions")
    assert journal.load() == {}
    saved = [record("new", created=5.0), record("old", created=2.0)]
    for one in saved:
        journal.save(one)
    assert list(journal.load()) == ["old", "new"]
    assert journal.load()["new"] == saved[0]


def test_what_is_not_a_record_is_passed_over(tmp_path: Path) -> None:
    """A draft left by kill -9, another format, another file."""
    journal = Journal(tmp_path)
    journal.save(record())
    (tmp_path / "def.new").write_text("{")
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text('{"format": 99}')
    (tmp_path / "z.json").write_text("[]")
    assert list(journal.load()) == ["abc"]


def test_an_execution_whose_process_is_gone_is_interrupted() -> None:
    """It and its running steps are Failed; what had succeeded stays so."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    gone = record(process=[ended.pid, 1])
    assert mark_interrupted(gone)
    assert gone.status == gone.steps["A"].status == "Failed"
    assert gone.failure_reason == f"interrupted: process {ended.pid} ended before the execution did"
    assert gone.steps["Z"].status == "Succeeded"
    assert not mark_interrupted(gone)


def test_a_running_process_is_told_from_a_new_one_with_its_id() -> None:
    """By the time of its start."""
    pid, started = process_identity()
    assert pid == os.getpid()
    assert is_alive([pid, started])
    assert not is_alive([pid, started + 1])
    assert not mark_interrupted(record(process=[pid, started]))
    assert not is_alive([])
