"""The executions that run: started by a call, an event, a retry or a rollback; ended with the sandbox."""

from __future__ import annotations

import copy
import threading
from typing import Any

from moto.codepipeline.models import CodePipelineBackend, codepipeline_backends

from mlops_workbench.sandbox import session as server
from mlops_workbench.sandbox.delivery import notices
from mlops_workbench.sandbox.delivery.execution import Run
from mlops_workbench.sandbox.delivery.executions import (
    IN_PROGRESS,
    ROLLBACK,
    STOPPING,
    SUCCEEDED,
    Execution,
    of_backend,
)
from mlops_workbench.sandbox.delivery.turnstile import Turnstile
from mlops_workbench.sandbox.gate import STATE

_lock = threading.Lock()
_runs: dict[str, Run] = {}
_threads: dict[str, threading.Thread] = {}
_turnstiles: dict[tuple[str, str, str], Turnstile] = {}
_closing = threading.Event()


def start_execution(
    account: str,
    region: str,
    name: str,
    trigger: dict[str, str],
    *,
    variables: dict[str, str] | None = None,
    overrides: list[dict[str, str]] | None = None,
    token: str | None = None,
) -> Execution:
    """Start a pipeline as it is now.

    Args:
        account: 12 digits.
        region: of the pipeline.
        name: of the pipeline, which exists.
        trigger: triggerType and triggerDetail.
        variables: values for the pipeline's variables; the others have their defaults.
        overrides: of source revisions, as StartPipelineExecution takes them.
        token: of the request; the execution that it started before is returned as it is.
    """
    backend = codepipeline_backends[account][region]
    pipeline = copy.deepcopy(backend.pipelines[name].pipeline)
    values = {one["name"]: one.get("defaultValue", "") for one in pipeline.get("variables") or []}
    execution = Execution(
        account,
        region,
        pipeline,
        trigger,
        values | (variables or {}),
        overrides or [],
        token=token,
    )
    with STATE.changing(), _lock:
        known = of_backend(backend).setdefault(name, [])
        for earlier in known:
            if token and earlier.token == token:
                return earlier
        known.append(execution)
    _launch(execution)
    return execution


def retry(execution: Execution, stage: str, mode: str) -> None:
    """Go on with an execution from a stage that failed."""
    execution.update(status=IN_PROGRESS, summary="", stop_reason=None)
    _launch(execution, stage, mode)


def roll_back(failed: Execution, stage: str, target: Execution, trigger: dict[str, str]) -> Execution:
    """Run one stage again with the artifacts and variables of an execution that went well there."""
    backend = codepipeline_backends[failed.account][failed.region]
    execution = Execution(
        failed.account,
        failed.region,
        copy.deepcopy(backend.pipelines[failed.name].pipeline),
        trigger,
        dict(target.variables),
        kind=ROLLBACK,
        target=target.id,
        artifacts=dict(target.artifacts),
        namespaces=dict(target.namespaces),
        revisions=list(target.revisions),
    )
    with STATE.changing(), _lock:
        of_backend(backend).setdefault(failed.name, []).append(execution)
    _launch(execution, stage)
    return execution


def rollback_target(execution: Execution, stage: str) -> Execution | None:
    """Return the newest other execution that succeeded in a stage; rollbacks do not count."""
    backend = codepipeline_backends[execution.account][execution.region]
    for other in reversed(of_backend(backend).get(execution.name, [])):
        run = other.stages.get(stage)
        if other.id != execution.id and other.kind != ROLLBACK and run and run.status == SUCCEEDED:
            return other
    return None


def stop(execution: Execution, *, abandon: bool, reason: str) -> None:
    """Ask an execution to stop; answers before it has."""
    with _lock:
        run = _runs.get(execution.id)
    if run is None:
        return
    execution.update(status=STOPPING, stop_reason=reason)
    notices.pipeline(execution, "STOPPING")
    if abandon:
        run.controls.abandon.set()
    run.controls.stop.set()


def stop_all() -> None:
    """Stop every execution and wait for its end."""
    _closing.set()
    with _lock:
        runs, threads = list(_runs.values()), list(_threads.values())
    for run in runs:
        run.execution.update(stop_reason="the sandbox was closed")
        run.controls.abandon.set()
        run.controls.stop.set()
    for thread in threads:
        thread.join()


def reset() -> None:
    """Begin with a new sandbox."""
    _closing.clear()
    with _lock:
        _turnstiles.clear()


def turnstile(account: str, region: str, name: str) -> Turnstile:
    """Return who is in which stage of a pipeline, and who waits."""
    with _lock:
        return _turnstiles.setdefault((account, region, name), Turnstile())


def transitions(backend: CodePipelineBackend, name: str) -> dict[str, dict[str, Any]]:
    """Return the transitions of a pipeline that are disabled, by stage."""
    known: dict[str, dict[str, dict[str, Any]]] = vars(backend).setdefault("sandbox_transitions", {})
    return known.setdefault(name, {})


def _launch(execution: Execution, first: str | None = None, mode: str | None = None) -> None:
    backend = codepipeline_backends[execution.account][execution.region]
    run = Run(
        execution,
        turnstile(execution.account, execution.region, execution.name),
        lambda stage: stage not in transitions(backend, execution.name),
        _roll_back_automatically,
        first,
        mode,
    )
    sandbox = server.current()

    def work() -> None:
        try:
            run.run()
        finally:
            with _lock:
                _runs.pop(execution.id, None)
                _threads.pop(execution.id, None)
            if not _closing.is_set():
                sandbox.save()

    thread = threading.Thread(target=work, name=execution.id, daemon=True)
    with _lock:
        _runs[execution.id], _threads[execution.id] = run, thread
    thread.start()


def _roll_back_automatically(failed: Execution, stage: str) -> None:
    if _closing.is_set():
        return
    target = rollback_target(failed, stage)
    if target is None:
        failed.update(summary=f"stage {stage}: no earlier execution succeeded there; nothing to roll back to")
        return
    roll_back(failed, stage, target, {"triggerType": "AutomatedRollback", "triggerDetail": failed.id})
