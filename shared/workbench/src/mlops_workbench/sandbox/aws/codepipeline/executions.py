"""What changes executions: start and stop; and the refusal of what no template uses."""

from __future__ import annotations

from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.events.models import events_backends
from moto.sts.models import sts_backends

from mlops_workbench.sandbox.aws.codepipeline.requests import (
    Refusal,
    caller_of,
    find_execution,
    find_pipeline,
    params_of,
)
from mlops_workbench.sandbox.delivery import pipelines
from mlops_workbench.sandbox.delivery.executions import IN_PROGRESS
from mlops_workbench.sandbox.delivery.structure_error import UNUSED


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


def retry_stage_execution(self: CodePipelineResponse) -> EmptyResult:
    """Refuse: a stage runs once in an execution."""
    raise _refusal("RetryStageExecution", "retry a stage")


def rollback_stage(self: CodePipelineResponse) -> EmptyResult:
    """Refuse: what went well is brought back by starting the pipeline with it."""
    raise _refusal("RollbackStage", "roll a stage back")


def disable_stage_transition(self: CodePipelineResponse) -> EmptyResult:
    """Refuse: every transition is enabled."""
    raise _refusal("DisableStageTransition", "disable a transition")


def enable_stage_transition(self: CodePipelineResponse) -> EmptyResult:
    """Refuse: every transition is enabled."""
    raise _refusal("EnableStageTransition", "disable a transition")


def _refusal(call: str, what: str) -> Refusal:
    return Refusal(UNUSED, f"{call}: the sandbox does not {what}; no template uses it")


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
