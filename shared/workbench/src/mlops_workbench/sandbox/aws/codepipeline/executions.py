"""What changes executions: start, stop, retry, roll back, and the transitions between stages."""

from __future__ import annotations

from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.events.models import events_backends
from moto.sts.models import sts_backends

from mlops_workbench.sandbox.aws.codepipeline.requests import (
    Refusal,
    caller_of,
    executions_of,
    find_execution,
    find_pipeline,
    params_of,
)
from mlops_workbench.sandbox.delivery import pipelines
from mlops_workbench.sandbox.delivery.executions import (
    FAILED,
    IN_PROGRESS,
    ROLLBACK,
    STOPPED,
    SUCCEEDED,
    Execution,
    now,
)

_NOT_V2 = "expected a pipeline of type V2"


def start_pipeline_execution(self: CodePipelineResponse) -> ActionResult:
    """Start a pipeline."""
    params = params_of(self)
    pipeline = find_pipeline(self, params["name"]).pipeline
    given = {one["name"]: one["value"] for one in params.get("variables") or []}
    declared = {one["name"]: one for one in pipeline.get("variables") or []}
    for name in given:
        if name not in declared:
            raise Refusal("ValidationException", f"variables: {name}: the pipeline declares no such variable")
    for name, one in declared.items():
        if "defaultValue" not in one and name not in given:
            raise Refusal("ValidationException", f"variables: {name}: it has no default; give it a value")
    execution = pipelines.start_execution(
        self.current_account,
        self.region,
        params["name"],
        _trigger(self, params["name"]),
        variables=given,
        overrides=params.get("sourceRevisions") or [],
        token=params.get("clientRequestToken"),
    )
    return ActionResult({"pipelineExecutionId": execution.id})


def stop_pipeline_execution(self: CodePipelineResponse) -> ActionResult:
    """Ask an execution to stop; answers before it has."""
    params = params_of(self)
    execution = find_execution(self, params["pipelineName"], params["pipelineExecutionId"])
    if execution.status != IN_PROGRESS:
        raise Refusal(
            "PipelineExecutionNotStoppableException", f"execution {execution.id} is {execution.status}"
        )
    pipelines.stop(execution, abandon=bool(params.get("abandon")), reason=params.get("reason") or "")
    return ActionResult({"pipelineExecutionId": execution.id})


def retry_stage_execution(self: CodePipelineResponse) -> ActionResult:
    """Run a failed stage again, and those after it."""
    params = params_of(self)
    name, stage = params["pipelineName"], params["stageName"]
    execution = find_execution(self, name, params["pipelineExecutionId"])
    run = execution.stages.get(stage)
    if stage not in _stages(execution):
        raise Refusal("StageNotFoundException", f"the pipeline {name} has no stage {stage}")
    if run is None or run.status not in (FAILED, STOPPED) or execution.running:
        status = run.status if run else "not begun"
        raise Refusal("StageNotRetryableException", f"stage {stage} of execution {execution.id} is {status}")
    newest = [one for one in executions_of(self, name) if stage in one.stages][-1]
    if newest is not execution and execution.mode != "PARALLEL":
        raise Refusal(
            "NotLatestPipelineExecutionException", f"execution {newest.id} is the latest in stage {stage}"
        )
    pipelines.retry(execution, stage, params["retryMode"])
    return ActionResult({"pipelineExecutionId": execution.id})


def rollback_stage(self: CodePipelineResponse) -> ActionResult:
    """Run a stage again as an earlier execution ran it."""
    params = params_of(self)
    name, stage = params["pipelineName"], params["stageName"]
    target = find_execution(self, name, params["targetPipelineExecutionId"])
    pipeline = find_pipeline(self, name).pipeline
    names = [one["name"] for one in pipeline["stages"]]
    if stage not in names:
        raise Refusal("StageNotFoundException", f"the pipeline {name} has no stage {stage}")
    run = target.stages.get(stage)
    if pipeline["pipelineType"] != "V2" or pipeline["executionMode"] == "PARALLEL":
        raise Refusal("UnableToRollbackStageException", f"{_NOT_V2}, not in mode PARALLEL")
    if stage == names[0] or target.kind == ROLLBACK or run is None or run.status != SUCCEEDED:
        raise Refusal(
            "UnableToRollbackStageException",
            f"stage {stage}: expected a stage after the first and an execution that succeeded in it and is "
            f"no rollback itself, got {target.id} ({run.status if run else 'not begun'}, {target.kind})",
        )
    trigger = {"triggerType": "ManualRollback", "triggerDetail": caller_of(self)}
    return ActionResult({"pipelineExecutionId": pipelines.roll_back(target, stage, target, trigger).id})


def disable_stage_transition(self: CodePipelineResponse) -> EmptyResult:
    """Let no execution into a stage."""
    params = params_of(self)
    _find_stage(self, params["pipelineName"], params["stageName"])
    known = pipelines.transitions(self.codepipeline_backend, params["pipelineName"])
    known[params["stageName"]] = {
        "enabled": False,
        "disabledReason": params["reason"],
        "lastChangedBy": caller_of(self),
        "lastChangedAt": now(),
    }
    return EmptyResult()


def enable_stage_transition(self: CodePipelineResponse) -> EmptyResult:
    """Let executions into a stage again."""
    params = params_of(self)
    _find_stage(self, params["pipelineName"], params["stageName"])
    known = pipelines.transitions(self.codepipeline_backend, params["pipelineName"])
    known.pop(params["stageName"], None)
    return EmptyResult()


def _find_stage(response: CodePipelineResponse, name: str, stage: str) -> None:
    if stage not in [one["name"] for one in find_pipeline(response, name).pipeline["stages"]]:
        raise Refusal("StageNotFoundException", f"the pipeline {name} has no stage {stage}")


def _stages(execution: Execution) -> list[str]:
    return [stage["name"] for stage in execution.pipeline["stages"]]


def _trigger(response: CodePipelineResponse, name: str) -> dict[str, str]:
    """Tell who starts a pipeline: a rule of EventBridge, known by the session it acts in, or a caller."""
    sts = sts_backends[response.current_account]["aws"]
    session = sts.get_assumed_role_from_access_key(response.get_access_key())
    if session is not None:
        arn = f"arn:aws:codepipeline:{response.region}:{response.current_account}:{name}"
        for bus in events_backends[response.current_account][response.region].event_buses.values():
            for rule in bus.rules.values():
                for target in rule.targets:
                    here = target.get("Arn") == arn and target.get("RoleArn") == session.role_arn
                    if here and rule.name[:64] == session.session_name:
                        return {"triggerType": "CloudWatchEvent", "triggerDetail": rule.arn}
    return {"triggerType": "StartPipelineExecution", "triggerDetail": caller_of(response)}


CALLS = (
    start_pipeline_execution,
    stop_pipeline_execution,
    retry_stage_execution,
    rollback_stage,
    disable_stage_transition,
    enable_stage_transition,
)
