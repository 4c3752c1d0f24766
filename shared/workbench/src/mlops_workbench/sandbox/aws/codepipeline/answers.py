"""What is known of executions: GetPipelineExecution, and the lists of executions, actions and rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult

from mlops_workbench.sandbox.aws.codepipeline.requests import (
    executions_of,
    find_execution,
    known,
    page,
    params_of,
)
from mlops_workbench.sandbox.delivery.executions import (
    SUCCEEDED,
    ActionRun,
    Artifact,
    Execution,
    RuleRun,
    StageRun,
)


def get_pipeline_execution(self: CodePipelineResponse) -> ActionResult:
    """Describe an execution."""
    params = params_of(self)
    execution = find_execution(self, params["pipelineName"], params["pipelineExecutionId"])
    variables = [{"name": name, "resolvedValue": value} for name, value in execution.variables.items()]
    shown = ("name", "revisionId", "revisionSummary", "revisionUrl", "created")
    answer = {
        "pipelineName": execution.name,
        "pipelineVersion": execution.pipeline["version"],
        "pipelineExecutionId": execution.id,
        "status": execution.status,
        "statusSummary": execution.summary,
        "artifactRevisions": [{key: one[key] for key in shown} for one in execution.revisions],
        "variables": variables,
        "trigger": execution.trigger,
        "executionMode": execution.mode,
        "executionType": execution.kind,
        "rollbackMetadata": _rollback(execution),
    }
    return ActionResult({"pipelineExecution": known(answer)})


def list_pipeline_executions(self: CodePipelineResponse) -> ActionResult:
    """List executions, the newest first."""
    params = params_of(self)
    wanted = ((params.get("filter") or {}).get("succeededInStage") or {}).get("stageName")
    found = [
        execution
        for execution in reversed(executions_of(self, params["pipelineName"]))
        if not wanted or (wanted in execution.stages and execution.stages[wanted].status == SUCCEEDED)
    ]
    chosen, token = page(found, params)
    return ActionResult({"pipelineExecutionSummaries": list(map(_summary, chosen)), "nextToken": token})


def list_action_executions(self: CodePipelineResponse) -> ActionResult:
    """List the attempts at actions, the newest first."""
    found = [
        (execution, action)
        for execution, stage, latest in _stages_wanted(self)
        for action in stage.actions
        if not latest or stage.latest(action.name) is action
    ]
    found.sort(key=lambda pair: pair[1].start, reverse=True)
    chosen, token = page(found, params_of(self))
    details = [_action(execution, action) for execution, action in chosen]
    return ActionResult({"actionExecutionDetails": details, "nextToken": token})


def list_rule_executions(self: CodePipelineResponse) -> ActionResult:
    """List the looks at rules of conditions, the newest first."""
    found = [
        (execution, rule)
        for execution, stage, latest in _stages_wanted(self)
        for rule in stage.rules
        if not latest or {one.name: one for one in stage.rules}[rule.name] is rule
    ]
    found.sort(key=lambda pair: pair[1].start, reverse=True)
    chosen, token = page(found, params_of(self))
    details = [_rule(execution, rule) for execution, rule in chosen]
    return ActionResult({"ruleExecutionDetails": details, "nextToken": token})


def _stages_wanted(response: CodePipelineResponse) -> Iterator[tuple[Execution, StageRun, bool]]:
    """Yield the stages that a list's filter leaves, and whether only the latest attempts are wanted."""
    params = params_of(response)
    wanted = params.get("filter") or {}
    latest = wanted.get("latestInPipelineExecution")
    id_ = wanted.get("pipelineExecutionId") or (latest or {}).get("pipelineExecutionId")
    for execution in executions_of(response, params["pipelineName"]):
        if not id_ or execution.id == id_:
            for stage in execution.stages.values():
                yield execution, stage, bool(latest)


def _summary(execution: Execution) -> dict[str, Any]:
    revisions = [
        known(
            {
                "actionName": one["action"],
                "revisionId": one["revisionId"],
                "revisionSummary": one["revisionSummary"],
                "revisionUrl": one["revisionUrl"],
            }
        )
        for one in execution.revisions
    ]
    answer = {
        "pipelineExecutionId": execution.id,
        "status": execution.status,
        "statusSummary": execution.summary,
        "startTime": execution.start,
        "lastUpdateTime": execution.updated,
        "sourceRevisions": revisions,
        "trigger": execution.trigger,
        "executionMode": execution.mode,
        "executionType": execution.kind,
        "stopTrigger": {"reason": execution.stop_reason} if execution.stop_reason else None,
        "rollbackMetadata": _rollback(execution),
    }
    return known(answer)


def _action(execution: Execution, run: ActionRun) -> dict[str, Any]:
    kind = {key: run.type_id[key] for key in ("category", "owner", "provider", "version")}
    given = {
        "actionTypeId": kind,
        "configuration": run.configuration,
        "resolvedConfiguration": run.resolved,
        "roleArn": run.role,
        "region": run.region,
        "inputArtifacts": list(map(_artifact, run.inputs)),
        "namespace": run.namespace,
    }
    result = known(
        {
            "externalExecutionId": run.external_id,
            "externalExecutionSummary": run.error["message"] if run.error else run.summary,
            "externalExecutionUrl": run.external_url,
            "errorDetails": run.error,
        }
    )
    output = {
        "outputArtifacts": list(map(_artifact, run.outputs)),
        "executionResult": result,
        "outputVariables": run.variables,
    }
    answer = {
        "pipelineExecutionId": execution.id,
        "actionExecutionId": run.id,
        "pipelineVersion": execution.pipeline["version"],
        "stageName": run.stage,
        "actionName": run.name,
        "startTime": run.start,
        "lastUpdateTime": run.updated,
        "updatedBy": run.updated_by,
        "status": run.status,
        "input": known(given),
        "output": known(output),
    }
    return known(answer)


def _rule(execution: Execution, run: RuleRun) -> dict[str, Any]:
    given = {
        "ruleTypeId": run.type_id,
        "configuration": run.configuration,
        "resolvedConfiguration": run.resolved,
        "region": run.region,
    }
    result = known({"externalExecutionSummary": run.summary, "errorDetails": run.error})
    return {
        "pipelineExecutionId": execution.id,
        "ruleExecutionId": run.id,
        "pipelineVersion": execution.pipeline["version"],
        "stageName": run.stage,
        "ruleName": run.name,
        "startTime": run.start,
        "lastUpdateTime": run.updated,
        "status": run.status,
        "input": given,
        "output": {"executionResult": result},
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {"name": artifact.name, "s3location": {"bucket": artifact.bucket, "key": artifact.key}}


def _rollback(execution: Execution) -> dict[str, str] | None:
    return {"rollbackTargetPipelineExecutionId": execution.target} if execution.target else None


CALLS = (get_pipeline_execution, list_pipeline_executions, list_action_executions, list_rule_executions)
