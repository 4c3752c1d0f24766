"""GetPipelineState: what a pipeline's page shows."""

from __future__ import annotations

from typing import Any

from moto.codepipeline.responses import CodePipelineResponse
from moto.core.responses import ActionResult

from mlops_workbench.sandbox.aws.codepipeline.requests import executions_of, find_pipeline, known, params_of
from mlops_workbench.sandbox.delivery.executions import ActionRun, Execution, RuleRun, StageRun


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
        "actionStates": [_action(action, run) for action in declaration["actions"]],
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
        rules.append({"ruleName": rule["name"], **({"latestExecution": _rule(run)} if run else {})})
    answer: dict[str, Any] = {"conditionStates": [{"ruleStates": rules}]}
    if stage and stage.condition:
        execution = known({"status": stage.condition, "summary": stage.condition_summary})
        changed = {"lastStatusChange": max(rule.updated for rule in runs.values())} if runs else {}
        answer["latestExecution"] = execution
        answer["conditionStates"][0]["latestExecution"] = {**execution, **changed}
    return answer


def _rule(run: RuleRun) -> dict[str, Any]:
    return known(
        {
            "ruleExecutionId": run.id,
            "status": run.status,
            "summary": run.summary,
            "lastStatusChange": run.updated,
            "errorDetails": run.error,
        }
    )


def _action(declaration: dict[str, Any], stage: StageRun | None) -> dict[str, Any]:
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


CALLS = (get_pipeline_state,)
