"""Answers to actions that wait: PutApprovalResult, PutJobSuccessResult, PutJobFailureResult."""

from __future__ import annotations

from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult, EmptyResult

from mlops_workbench.sandbox.aws.codepipeline.requests import Refusal, caller_of, executions_of, params_of
from mlops_workbench.sandbox.delivery.actions import function
from mlops_workbench.sandbox.delivery.actions.function import Job
from mlops_workbench.sandbox.delivery.executions import now
from mlops_workbench.sandbox.gate import STATE

_ANSWERS = ("Approved", "Rejected")


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
    job = function.job(id_)
    if job is None:
        raise Refusal("JobNotFoundException", f"there is no job {id_}")
    if job.succeeded is not None:
        raise Refusal("InvalidJobStateException", f"job {id_} has its result already")
    return job


CALLS = (put_approval_result, put_job_success_result, put_job_failure_result)
