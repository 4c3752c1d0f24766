"""What is known of pipelines and executions: GetPipelineState, GetPipelineExecution, and the lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult

from mlops_workbench.sandbox.services.codepipeline.calls import (
    executions_of,
    find_execution,
    find_pipeline,
    known,
    page,
    params_of,
)
from mlops_workbench.sandbox.services.codepipeline.records import (
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
        "executionMode": "SUPERSEDED",
        "executionType": "STANDARD",
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
    """List actions as they ran, the newest first."""
    found = [(execution, action) for execution, stage in _stages_wanted(self) for action in stage.actions]
    found.sort(key=lambda pair: pair[1].start, reverse=True)
    chosen, token = page(found, params_of(self))
    details = [_action(execution, action) for execution, action in chosen]
    return ActionResult({"actionExecutionDetails": details, "nextToken": token})


def list_rule_executions(self: CodePipelineResponse) -> ActionResult:
    """List the looks at rules of conditions, the newest first."""
    found = [(execution, rule) for execution, stage in _stages_wanted(self) for rule in stage.rules]
    found.sort(key=lambda pair: pair[1].start, reverse=True)
    chosen, token = page(found, params_of(self))
    details = [_rule(execution, rule) for execution, rule in chosen]
    return ActionResult({"ruleExecutionDetails": details, "nextToken": token})


def _stages_wanted(response: CodePipelineResponse) -> Iterator[tuple[Execution, StageRun]]:
    """Yield the stages that a list's filter leaves: those of all executions, or of one."""
    params = params_of(response)
    wanted = params.get("filter") or {}
    # Here a stage runs once in an execution, so that each attempt at it is the latest.
    latest = wanted.get("latestInPipelineExecution") or {}
    id_ = wanted.get("pipelineExecutionId") or latest.get("pipelineExecutionId")
    for execution in executions_of(response, params["pipelineName"]):
        if not id_ or execution.id == id_:
            for stage in execution.stages.values():
                yield execution, stage


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
        "executionMode": "SUPERSEDED",
        "executionType": "STANDARD",
        "stopTrigger": {"reason": execution.stop_reason} if execution.stop_reason else None,
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


def get_pipeline_state(self: CodePipelineResponse) -> ActionResult:
    """Return each stage with its latest execution, its actions, and who waits for it."""
    name = params_of(self)["name"]
    pipeline = find_pipeline(self, name)
    executions = executions_of(self, name)
    stages = [_stage(stage, executions) for stage in pipeline.pipeline["stages"]]
    answer = {
        "pipelineName": name,
        "pipelineVersion": pipeline.pipeline["version"],
        "stageStates": stages,
        "created": pipeline._created,
        "updated": pipeline._updated,
    }
    return ActionResult(answer)


def _stage(declaration: dict[str, Any], executions: list[Execution]) -> dict[str, Any]:
    name = declaration["name"]
    inside = [execution for execution in executions if name in execution.stages]
    latest = max(inside, key=lambda one: one.stages[name].entered, default=None)
    run = latest.stages[name] if latest else None
    waiting = [
        {"pipelineExecutionId": one.id, "status": "InProgress", "type": "STANDARD"}
        for one in executions
        if one.waiting_for == name
    ]
    answer = {
        "stageName": name,
        "inboundExecutions": waiting,
        "inboundExecution": waiting[-1] if waiting else None,
        "inboundTransitionState": {"enabled": True},
        "actionStates": [_action_state(action, run) for action in declaration["actions"]],
    }
    if declaration.get("beforeEntry"):
        answer["beforeEntryConditionState"] = _condition(declaration, run)
    if latest and run:
        answer["latestExecution"] = {
            "pipelineExecutionId": latest.id,
            "status": run.status,
            "type": "STANDARD",
        }
    return known(answer)


def _condition(declaration: dict[str, Any], stage: StageRun | None) -> dict[str, Any]:
    """Return the state of the entry condition; a stage has one at most."""
    (condition,) = declaration["beforeEntry"]["conditions"]
    runs = {rule.name: rule for rule in stage.rules} if stage else {}
    rules: list[dict[str, Any]] = []
    for rule in condition["rules"]:
        run = runs.get(rule["name"])
        rules.append({"ruleName": rule["name"], **({"latestExecution": _rule_state(run)} if run else {})})
    answer: dict[str, Any] = {"conditionStates": [{"ruleStates": rules}]}
    if stage and stage.condition:
        execution = known({"status": stage.condition, "summary": stage.condition_summary})
        changed = {"lastStatusChange": max(rule.updated for rule in runs.values())} if runs else {}
        answer["latestExecution"] = execution
        answer["conditionStates"][0]["latestExecution"] = {**execution, **changed}
    return answer


def _rule_state(run: RuleRun) -> dict[str, Any]:
    return known(
        {
            "ruleExecutionId": run.id,
            "status": run.status,
            "summary": run.summary,
            "lastStatusChange": run.updated,
            "errorDetails": run.error,
        }
    )


def _action_state(declaration: dict[str, Any], stage: StageRun | None) -> dict[str, Any]:
    run = stage.action(declaration["name"]) if stage else None
    answer: dict[str, Any] = {"actionName": declaration["name"]}
    if run is None:
        return answer
    latest = {
        "actionExecutionId": run.id,
        "status": run.status,
        "summary": run.summary,
        "lastStatusChange": run.updated,
        "token": run.token,
        "lastUpdatedBy": run.updated_by,
        "externalExecutionId": run.external_id,
        "externalExecutionUrl": run.external_url,
        "errorDetails": run.error,
    }
    answer["latestExecution"] = known(latest)
    if run.revision:
        answer["currentRevision"] = _revision(run)
    return answer


def _revision(run: ActionRun) -> dict[str, Any]:
    revision = run.revision or {}
    return {
        "revisionId": revision["revisionId"],
        "revisionChangeId": revision["revisionId"],
        "created": revision["created"],
    }


CALLS = (
    get_pipeline_execution,
    list_pipeline_executions,
    list_action_executions,
    list_rule_executions,
    get_pipeline_state,
)
