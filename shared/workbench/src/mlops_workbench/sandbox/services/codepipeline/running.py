"""The executions that run: started by a call or an event; ended with the sandbox."""

from __future__ import annotations

import copy
import threading

from moto.codepipeline.models import codepipeline_backends

from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.services.codepipeline import records
from mlops_workbench.sandbox.services.codepipeline.execution import Run, Turnstile
from mlops_workbench.sandbox.services.codepipeline.records import STOPPING, Execution, of_backend
from mlops_workbench.sandbox.session import current


class _Running:
    """The executions of an open sandbox that run, by id, and who is in which stage of each pipeline."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runs: dict[str, Run] = {}
        self.threads: dict[str, threading.Thread] = {}
        self.turnstiles: dict[tuple[str, str, str], Turnstile] = {}
        self.closing = False


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
    with STATE.changing(), current().part(_Running).lock:
        known = of_backend(backend).setdefault(name, [])
        for earlier in known:
            if token and earlier.token == token:
                return earlier
        known.append(execution)
    _launch(execution)
    return execution


def stop(execution: Execution, *, abandon: bool, reason: str) -> None:
    """Ask an execution to stop; answers before it has."""
    running = current().part(_Running)
    with running.lock:
        run = running.runs.get(execution.id)
    if run is None:
        return
    execution.update(status=STOPPING, stop_reason=reason)
    records.pipeline(execution, "STOPPING")
    if abandon:
        run.controls.abandon.set()
    run.controls.stop.set()


def stop_all() -> None:
    """Stop every execution and wait for its end."""
    running = current().part(_Running)
    running.closing = True
    with running.lock:
        runs, threads = list(running.runs.values()), list(running.threads.values())
    for run in runs:
        run.execution.update(stop_reason="the sandbox was closed")
        run.controls.abandon.set()
        run.controls.stop.set()
    for thread in threads:
        thread.join()


def _launch(execution: Execution) -> None:
    sandbox = current()
    running = sandbox.part(_Running)
    place = (execution.account, execution.region, execution.name)
    with running.lock:
        turnstile = running.turnstiles.setdefault(place, Turnstile())
    run = Run(execution, turnstile)

    def work() -> None:
        try:
            run.run()
        finally:
            with running.lock:
                running.runs.pop(execution.id, None)
                running.threads.pop(execution.id, None)
            if not running.closing:
                sandbox.save()

    thread = threading.Thread(target=work, name=execution.id, daemon=True)
    with running.lock:
        running.runs[execution.id], running.threads[execution.id] = run, thread
    thread.start()
