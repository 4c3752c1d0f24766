"""CodePipeline's calls: pipelines, the start and stop of executions, and answers to actions that wait.

moto 5.2.5 gives times as text, which Terraform's provider cannot read, trips over trust policies with
conditions or lists of principals, and checks nothing of a pipeline's structure. Tags are moto's. What no
template uses is refused.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from moto.codepipeline.exceptions import PipelineExecutionNotFoundException, PipelineNotFoundException
from moto.codepipeline.models import CodePipeline
from moto.codepipeline.responses import CodePipelineResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult
from moto.events.models import events_backends
from moto.sts.models import sts_backends

from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.iam.acting import CODEPIPELINE, role_environment
from mlops_workbench.sandbox.services.codepipeline import running, structure
from mlops_workbench.sandbox.services.codepipeline.actions import answered
from mlops_workbench.sandbox.services.codepipeline.actions.answered import Job
from mlops_workbench.sandbox.services.codepipeline.records import IN_PROGRESS, Execution, now, of_backend
from mlops_workbench.sandbox.services.codepipeline.structure import UNUSED, StructureError

_ANSWERS = ("Approved", "Rejected")


class Refusal(JsonRESTError):
    """An error of the service, by its name."""

    code = 400


def register(call: Callable[[CodePipelineResponse], Any]) -> None:
    """Make a function the answer to the API's call of its name."""
    setattr(CodePipelineResponse, call.__name__, call)


def params_of(response: CodePipelineResponse) -> dict[str, Any]:
    """Return a request's body."""
    return cast(dict[str, Any], json.loads(response.body or "{}"))


def find_pipeline(response: CodePipelineResponse, name: str) -> CodePipeline:
    """Return a pipeline.

    Raises:
        PipelineNotFoundException: there is none.
    """
    pipeline = response.codepipeline_backend.pipelines.get(name)
    if pipeline is None:
        raise PipelineNotFoundException(
            f"Account '{response.current_account}' does not have a pipeline with name '{name}'"
        )
    return pipeline


def executions_of(response: CodePipelineResponse, name: str) -> list[Execution]:
    """Return a pipeline's executions, oldest first.

    Raises:
        PipelineNotFoundException: there is no such pipeline.
    """
    find_pipeline(response, name)
    return list(of_backend(response.codepipeline_backend).get(name, []))


def find_execution(response: CodePipelineResponse, name: str, id_: str) -> Execution:
    """Return an execution.

    Raises:
        PipelineNotFoundException: there is no such pipeline.
        PipelineExecutionNotFoundException: it has no such execution.
    """
    for execution in executions_of(response, name):
        if execution.id == id_:
            return execution
    raise PipelineExecutionNotFoundException(
        f"The pipeline {name} does not have an execution with id '{id_}'"
    )


def page(items: Sequence[Any], params: dict[str, Any], limit: int = 100) -> tuple[list[Any], str | None]:
    """Cut a list; return the page, and the token of the next one when there is more.

    Raises:
        Refusal: a token that no call gave.
    """
    token = params.get("nextToken")
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise Refusal("InvalidNextTokenException", f"not a token of this call: {token!r}") from None
    end = start + (params.get("maxResults") or limit)
    more = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), more


def known(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what is not known."""
    return {key: value for key, value in answer.items() if value not in (None, "", {})}


def caller_of(response: CodePipelineResponse) -> str:
    """Return the ARN of who calls."""
    backend = sts_backends[response.current_account]["aws"]
    session = backend.get_assumed_role_from_access_key(response.get_access_key())
    if session is not None:
        return str(session.arn)
    return f"arn:aws:iam::{response.current_account}:user/sandbox"


def create_pipeline(self: CodePipelineResponse) -> ActionResult:
    """Make a pipeline and start it, as the service does."""
    params = params_of(self)
    declared, tags = params["pipeline"], params.get("tags") or []
    _check(self, declared)
    name = declared["name"]
    if name in self.codepipeline_backend.pipelines:
        raise Refusal("PipelineNameInUseException", f"A pipeline with the name '{name}' already exists")
    pipeline = CodePipeline(self.current_account, self.region, _complete(declared))
    pipeline.validate_tags(tags)
    pipeline.tags.update({tag["key"]: tag["value"] for tag in tags})
    self.codepipeline_backend.pipelines[name] = pipeline
    trigger = {"triggerType": "CreatePipeline", "triggerDetail": ""}
    answer = copy.deepcopy(pipeline.pipeline)
    running.start_execution(self.current_account, self.region, name, trigger)
    return ActionResult({"pipeline": answer, "tags": tags})


def get_pipeline(self: CodePipelineResponse) -> ActionResult:
    """Return a pipeline's structure and times."""
    params = params_of(self)
    pipeline = find_pipeline(self, params["name"])
    if params.get("version") not in (None, pipeline.pipeline["version"]):
        raise Refusal(
            "PipelineVersionNotFoundException",
            f"the sandbox keeps version {pipeline.pipeline['version']} of {params['name']} only",
        )
    metadata = {"pipelineArn": pipeline._arn, "created": pipeline._created, "updated": pipeline._updated}
    return ActionResult({"pipeline": pipeline.pipeline, "metadata": metadata})


def update_pipeline(self: CodePipelineResponse) -> ActionResult:
    """Replace a pipeline's structure; executions that run keep theirs."""
    declared = params_of(self)["pipeline"]
    _check(self, declared)
    pipeline = find_pipeline(self, declared["name"])
    version = pipeline.pipeline["version"] + 1
    pipeline.pipeline = {**_complete(declared), "version": version}
    pipeline._updated = now().replace(tzinfo=None)
    return ActionResult({"pipeline": pipeline.pipeline})


def delete_pipeline(self: CodePipelineResponse) -> EmptyResult:
    """Remove a pipeline and its executions; one that is not there is no error, as in AWS."""
    name = params_of(self)["name"]
    backend = self.codepipeline_backend
    for execution in of_backend(backend).get(name, []):
        running.stop(execution, abandon=True, reason="the pipeline was deleted")
    backend.pipelines.pop(name, None)
    of_backend(backend).pop(name, None)
    return EmptyResult()


def list_pipelines(self: CodePipelineResponse) -> ActionResult:
    """List pipelines by name."""
    entries = [
        {
            "name": name,
            "version": pipeline.pipeline["version"],
            "pipelineType": pipeline.pipeline["pipelineType"],
            "executionMode": pipeline.pipeline["executionMode"],
            "created": pipeline._created,
            "updated": pipeline._updated,
        }
        for name, pipeline in sorted(self.codepipeline_backend.pipelines.items())
    ]
    chosen, token = page(entries, params_of(self), limit=1000)
    return ActionResult({"pipelines": chosen, "nextToken": token})


def _check(response: CodePipelineResponse, declared: dict[str, Any]) -> None:
    try:
        structure.check(declared)
    except StructureError as error:
        raise Refusal(error.code, str(error)) from None
    role = declared["roleArn"]
    arn = f"arn:aws:codepipeline:{response.region}:{response.current_account}:{declared['name']}"
    try:
        role_environment(role, CODEPIPELINE, response.region, declared["name"], source_arn=arn)
    except AccessDenied as error:
        raise Refusal(
            "InvalidStructureException",
            f"CodePipeline is not authorized to perform AssumeRole on role {role}: {error}",
        ) from None


def _complete(declared: dict[str, Any]) -> dict[str, Any]:
    """Return a structure with the service's defaults."""
    pipeline = copy.deepcopy(declared)
    pipeline.setdefault("pipelineType", "V1")
    pipeline.setdefault("executionMode", "SUPERSEDED")
    for stage in pipeline["stages"]:
        for action in stage["actions"]:
            for key, default in (
                ("runOrder", 1),
                ("configuration", {}),
                ("inputArtifacts", []),
                ("outputArtifacts", []),
            ):
                if action.get(key) is None:
                    action[key] = default
    return pipeline


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
    execution = running.start_execution(
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
    running.stop(execution, abandon=bool(params.get("abandon")), reason=params.get("reason") or "")
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


def put_approval_result(self: CodePipelineResponse) -> ActionResult:
    """Approve or reject what waits for it."""
    params = params_of(self)
    result = params["result"]
    if result["status"] not in _ANSWERS:
        raise Refusal("ValidationException", f"result.status: expected Approved or Rejected, got {result}")
    executions = executions_of(self, params["pipelineName"])
    declared = executions[-1].pipeline["stages"] if executions else []
    stages = {stage["name"]: [action["name"] for action in stage["actions"]] for stage in declared}
    if params["stageName"] not in stages:
        raise Refusal("StageNotFoundException", f"there is no stage {params['stageName']}")
    if params["actionName"] not in stages[params["stageName"]]:
        raise Refusal("ActionNotFoundException", f"there is no action {params['actionName']}")
    runs = [
        action
        for execution in executions
        if (stage := execution.stages.get(params["stageName"]))
        for action in stage.actions
        if action.name == params["actionName"]
    ]
    with STATE.changing():
        waiting = [run for run in runs if run.token is not None and run.approval is None]
        for run in waiting:
            if run.token == params["token"]:
                run.approval = {
                    "status": result["status"],
                    "summary": result.get("summary") or "",
                    "by": caller_of(self),
                }
                return ActionResult({"approvedAt": now()})
    if runs and not waiting:
        raise Refusal("ApprovalAlreadyCompletedException", "The approval action has already been completed")
    raise Refusal("InvalidApprovalTokenException", "The approval request has expired or its token is wrong")


def put_job_success_result(self: CodePipelineResponse) -> EmptyResult:
    """Take what a function of an action has made."""
    params = params_of(self)
    if params.get("continuationToken"):
        raise Refusal("ValidationException", "continuationToken: the sandbox runs jobs of one call only")
    job = _job(params["jobId"])
    job.succeeded, job.variables = True, params.get("outputVariables") or {}
    job.external_id = (params.get("executionDetails") or {}).get("externalExecutionId") or ""
    return EmptyResult()


def put_job_failure_result(self: CodePipelineResponse) -> EmptyResult:
    """Take why a function of an action failed."""
    params = params_of(self)
    job = _job(params["jobId"])
    job.succeeded, job.message = False, params["failureDetails"]["message"]
    return EmptyResult()


def _job(id_: str) -> Job:
    job = answered.job(id_)
    if job is None:
        raise Refusal("JobNotFoundException", f"there is no job {id_}")
    if job.succeeded is not None:
        raise Refusal("InvalidJobStateException", f"job {id_} has its result already")
    return job


CALLS = (
    create_pipeline,
    get_pipeline,
    update_pipeline,
    delete_pipeline,
    list_pipelines,
    start_pipeline_execution,
    stop_pipeline_execution,
    retry_stage_execution,
    rollback_stage,
    disable_stage_transition,
    enable_stage_transition,
    put_approval_result,
    put_job_success_result,
    put_job_failure_result,
)
