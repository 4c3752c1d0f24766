"""Following what a push starts: the delivery pipeline, and the SageMaker executions that its builds start."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.follow import follow as follow_execution
from mlops_workbench.sandbox.organisation import releases
from mlops_workbench.sandbox.organisation.approvals import waiting
from mlops_workbench.sandbox.organisation.record import Organisation

#: Seconds in which an execution begins after its source has changed.
BEGIN_SECONDS = 60.0
#: Seconds in which `register` makes a pipeline, of which Terraform needs half a minute on a quiet machine.
REGISTER_SECONDS = 300.0
#: Seconds in which one begins after an answer, an approval of a model for example: its event is on its way.
EVENT_SECONDS = 10.0
INTERVAL = 0.5
_EXECUTION = re.compile(r"arn:[^:]+:sagemaker:[^:]+:\d+:pipeline/[^/]+/execution/\S+")
_ENDED = ("Succeeded", "Failed", "Stopped", "Superseded", "Cancelled")
Say = Callable[[str], None]


def watchers(organisation: Organisation, key: str) -> list[str]:
    """Return the pipelines of shared services whose source is this object."""
    client = organisation.client("codepipeline")
    found = []
    for page in client.get_paginator("list_pipelines").paginate():
        for listed in page["pipelines"]:
            declared = client.get_pipeline(name=listed["name"])["pipeline"]
            if key in set(_keys(declared)):
                found.append(listed["name"])
    return found


def executions(organisation: Organisation, names: list[str]) -> dict[str, set[str]]:
    """Return the ids of each pipeline's executions so far: what comes later is new."""
    client = organisation.client("codepipeline")
    return {
        name: {
            each["pipelineExecutionId"]
            for each in client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
        }
        for name in names
    }


def follow(organisation: Organisation, before: dict[str, set[str]], say: Say = print) -> bool:
    """Show the new execution of each pipeline until it ends or waits; returns whether none has failed.

    Raises:
        SandboxError: no execution has begun in ``BEGIN_SECONDS``.
    """
    return all([_follow(organisation, name, known, say) for name, known in before.items()])


def wait_for(organisation: Organisation, name: str, say: Say = print) -> None:
    """Wait until there is a pipeline of a name: `register`, which makes it, may still be at work.

    Raises:
        SandboxError: there is none after ``REGISTER_SECONDS``.
    """
    client = organisation.client("codepipeline")
    deadline = time.monotonic() + REGISTER_SECONDS
    told = False
    while True:
        known = [each["name"] for each in client.list_pipelines()["pipelines"]]
        if name in known:
            return
        there = ", ".join(known) or "none yet"
        if time.monotonic() > deadline:
            raise SandboxError(f"{name}: expected the name of a pipeline; those that are there: {there}")
        if not told:
            told = True
            say(
                f"there is no pipeline {name} yet ({there}): waiting for it, at most {REGISTER_SECONDS:.0f} s"
            )
        time.sleep(INTERVAL)


def follow_newest(organisation: Organisation, name: str, say: Say = print) -> bool:
    """Show a pipeline's newest execution until it ends or waits; returns whether it has not failed.

    When that one is over already, and what it has started as well, another that begins within
    ``EVENT_SECONDS`` is followed: what a person has just approved or answered starts it.

    Raises:
        SandboxError: there is no such pipeline, or nothing has been started in it.
    """
    client = organisation.client("codepipeline")
    newest = _newest(client, name)
    if newest is not None and (newest["status"] not in _ENDED or _trains(organisation, name, newest)):
        return _watch(organisation, name, newest["pipelineExecutionId"], say)
    ids = {newest["pipelineExecutionId"]} if newest else set()
    begun = _new(client, name, ids, EVENT_SECONDS)
    if begun is not None:
        return _watch(organisation, name, begun, say)
    if newest is None:
        raise SandboxError(f"pipeline {name}: nothing has been started in it yet")
    say(f"pipeline {name}: nothing runs; the newest execution is {newest['status']}")
    return _watch(organisation, name, newest["pipelineExecutionId"], say)


def _follow(organisation: Organisation, name: str, known: set[str], say: Say) -> bool:
    client = organisation.client("codepipeline")
    begun = _new(client, name, known, BEGIN_SECONDS)
    if begun is None:
        raise SandboxError(
            f"pipeline {name}: no execution has begun in {BEGIN_SECONDS:.0f} s; `mlops-sandbox status` shows "
            "which rule the event of the push has reached"
        )
    return _watch(organisation, name, begun, say)


def _watch(organisation: Organisation, name: str, id_: str, say: Say) -> bool:
    """Show an execution until it ends or waits, and what its builds have started."""
    client = organisation.client("codepipeline")
    say(f"pipeline {name}, execution {id_}")
    shown: dict[str, str] = {}
    while True:
        status = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id_)[
            "pipelineExecution"
        ]["status"]
        # In this order: what a stage is at may be newer than whose it is, and never an earlier execution's.
        ours = _stages_of(client, name, id_)
        pipeline = releases.describe_pipeline(client, organisation.shared_services, name)
        changes = dict(_changes(pipeline, ours))
        for place, state in changes.items():
            if shown.get(place) != state:
                shown[place] = state
                say(f"  {place}: {state}")
        if status == "Superseded" and (newest := _newest(client, name)) is not None:
            say(f"pipeline {name}: {status} by a newer execution")
            id_, shown = newest["pipelineExecutionId"], {}
            say(f"pipeline {name}, execution {id_}")
            continue
        if status in _ENDED:
            say(f"pipeline {name}: {status}")
            return status == "Succeeded" and _follow_started(organisation, name, id_, say)
        if _waits(pipeline, changes):
            for approval in waiting([pipeline], []):
                say(f"waiting for approval: mlops-sandbox approve {approval.reference}")
                for line in filter(None, [approval.text, approval.address(organisation.page)]):
                    say(f"  {line}")
            return True
        time.sleep(INTERVAL)


def _waits(pipeline: releases.Pipeline, changes: dict[str, str]) -> bool:
    """Tell whether a person has to answer before anything more happens to this execution.

    An older execution's question holds it up once its own work is done.
    """
    questions = {
        f"{stage.name}/{action.name}" for stage in pipeline.stages for action in stage.actions if action.waits
    }
    busy = {place for place, state in changes.items() if state.startswith("InProgress")}
    return bool(questions) and bool(changes) and busy <= questions


def _follow_started(organisation: Organisation, name: str, id_: str, say: Say) -> bool:
    """Follow the SageMaker executions whose ARNs the builds have exported; returns whether all succeeded."""
    client = organisation.client("sagemaker")
    for arn in _started(organisation.client("codepipeline"), name, id_):
        say(f"SageMaker execution {arn.rsplit('/', 1)[-1]} (Ctrl-C ends the following, not the execution)")
        jobs = Path(organisation.folder) / "jobs"
        result = follow_execution(client, arn, jobs_folder=jobs, stop_on_interrupt=False)
        if result.status != "Succeeded":
            return False
        for step in result.steps:
            if package := step.get("Metadata", {}).get("RegisterModel", {}).get("Arn"):
                reference = "/".join(package.rsplit("/", 2)[-2:])
                say(f"waiting for approval: mlops-sandbox approve {reference}")
    return True


def _trains(organisation: Organisation, name: str, newest: dict[str, Any]) -> bool:
    """Tell whether a SageMaker execution goes on that an execution's builds have started."""
    client = organisation.client("sagemaker")
    started = _started(organisation.client("codepipeline"), name, newest["pipelineExecutionId"])
    found = (client.describe_pipeline_execution(PipelineExecutionArn=arn) for arn in started)
    return any(each["PipelineExecutionStatus"] in ("Executing", "Stopping") for each in found)


def _started(client: Any, name: str, id_: str) -> list[str]:
    listed = client.list_action_executions(pipelineName=name, filter={"pipelineExecutionId": id_})
    exported = [
        value
        for action in listed["actionExecutionDetails"]
        for value in action.get("output", {}).get("outputVariables", {}).values()
    ]
    return list(dict.fromkeys(value for value in exported if _EXECUTION.fullmatch(value)))


def _new(client: Any, name: str, known: set[str], seconds: float) -> str | None:
    """Return the id of an execution that is not known as soon as there is one; None after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        newest = _newest(client, name)
        if newest is not None and newest["pipelineExecutionId"] not in known:
            return str(newest["pipelineExecutionId"])
        time.sleep(INTERVAL)
    return None


def _newest(client: Any, name: str) -> dict[str, Any] | None:
    listed = client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
    return dict(listed[0]) if listed else None


def _stages_of(client: Any, name: str, id_: str) -> set[str]:
    """Return the stages that an execution has reached; in the others an earlier one was the latest."""
    state = client.get_pipeline_state(name=name)
    return {
        stage["stageName"]
        for stage in state.get("stageStates", [])
        if (stage.get("latestExecution") or {}).get("pipelineExecutionId") == id_
    }


def _changes(pipeline: releases.Pipeline, ours: set[str]) -> Iterator[tuple[str, str]]:
    """Return what each action of the stages that are ours is at."""
    for stage in pipeline.stages:
        if stage.name in ours:
            if stage.status == "Skipped":
                yield stage.name, stage.status
            for action in stage.actions:
                if action.status:
                    yield f"{stage.name}/{action.name}", action.status + _reason(action)


def _reason(action: releases.Action) -> str:
    """Why an action has failed, and where a build says more."""
    if action.status != "Failed":
        return ""
    reason = f" ({action.summary})" if action.summary else ""
    is_build = ":" in action.external
    return f"{reason}\n    its log: mlops-sandbox logs {action.external}" if is_build else reason


def _keys(declared: dict[str, Any]) -> Iterator[str]:
    for stage in declared["stages"]:
        for action in stage["actions"]:
            if action["actionTypeId"]["category"] == "Source":
                yield action.get("configuration", {}).get("S3ObjectKey", "")
