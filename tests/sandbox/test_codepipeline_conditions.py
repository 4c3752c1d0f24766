"""Entry conditions of stages: who is let in, who is not, and what is told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.codepipeline.structure import holds
from tests.sandbox.codepipeline_world import (
    World,
    action,
    approval_stage,
    build_stage,
    entry,
    rule,
)

_VARIABLE = "#{Decided.PROMOTE}"


@pytest.fixture
def world(sandbox: Sandbox) -> World:
    return World(sandbox)


def _decide(world: World, answer: str) -> dict[str, Any]:
    """A stage whose build says whether to go on: the text of the source's file ``answer``."""
    world.project("decide", 'PROMOTE="$(cat answer)"', env={"exported-variables": ["PROMOTE"]})
    world.project("build", "true")
    world.put(answer=answer)
    return build_stage("Decide", "decide", namespace="Decided")


@pytest.mark.parametrize(
    ("operator", "variable", "value", "expected"),
    [
        ("EQ", "yes", "yes", True),
        ("EQ", "Yes", "yes", False),
        ("NE", "no", "yes", True),
        ("NE", "yes", "yes", False),
        ("CONTAINS", "a b c", "b", True),
        ("CONTAINS", "a", "a b", False),
        ("MATCHES", "release-12", r"release-\d+", True),
        ("MATCHES", "a release-12", r"release-\d+", False),
    ],
)
def test_a_rule_compares_texts(operator: str, variable: str, value: str, expected: bool) -> None:
    assert holds(operator, variable, value) is expected


def test_a_stage_is_entered_when_its_condition_holds(world: World) -> None:
    id_ = world.make(
        _decide(world, "yes"), build_stage("Build", "build", beforeEntry=entry("SKIP", _VARIABLE, "yes"))
    )
    assert world.end(id_) == "Succeeded"
    state = world.state("Build")
    assert state["latestExecution"]["status"] == "Succeeded"
    condition = state["beforeEntryConditionState"]
    assert condition["latestExecution"] == {"status": "Succeeded"}
    (one,) = condition["conditionStates"]
    assert one["latestExecution"]["status"] == "Succeeded" and one["latestExecution"]["lastStatusChange"]
    (look,) = one["ruleStates"]
    assert (look["ruleName"], look["latestExecution"]["status"]) == ("Check", "Succeeded")


def test_a_stage_whose_condition_skips_it_is_passed_by_and_the_next_one_runs(world: World) -> None:
    id_ = world.make(
        _decide(world, "no"),
        build_stage("Build", "build", beforeEntry=entry("SKIP", _VARIABLE, "yes")),
        build_stage("After", "build"),
    )
    assert world.end(id_) == "Succeeded"
    assert [each["stageName"] for each in world.actions(id_)] == ["Source", "Decide", "After"]
    state = world.state("Build")
    assert state["latestExecution"] == {"pipelineExecutionId": id_, "status": "Skipped", "type": "STANDARD"}
    condition = state["beforeEntryConditionState"]["latestExecution"]
    assert condition["status"] == "Failed" and f"{_VARIABLE} is 'no'" in condition["summary"]
    (look,) = world.client("codepipeline").list_rule_executions(
        pipelineName=world.name, filter={"pipelineExecutionId": id_}
    )["ruleExecutionDetails"]
    assert (look["stageName"], look["ruleName"], look["status"]) == ("Build", "Check", "Failed")
    assert look["input"]["configuration"]["Variable"] == _VARIABLE
    assert look["input"]["resolvedConfiguration"]["Variable"] == "no"
    assert events.wait_idle()
    kinds = [one.detail_type for one in events.history() if one.source == "aws.codepipeline"]
    # begun and ended: Source, Decide and After; the documented states have none for a stage that is skipped
    assert kinds.count("CodePipeline Stage Execution State Change") == 6


def test_an_execution_whose_last_stage_is_skipped_has_succeeded(world: World) -> None:
    id_ = world.make(
        _decide(world, "no"), build_stage("Build", "build", beforeEntry=entry("SKIP", _VARIABLE, "yes"))
    )
    assert world.end(id_) == "Succeeded"
    listed = world.client("codepipeline").list_pipeline_executions(pipelineName=world.name)
    assert listed["pipelineExecutionSummaries"][0]["status"] == "Succeeded"
    in_stage = world.client("codepipeline").list_pipeline_executions(
        pipelineName=world.name, filter={"succeededInStage": {"stageName": "Build"}}
    )
    assert in_stage["pipelineExecutionSummaries"] == []


def test_a_condition_that_fails_its_stage_says_which_rule(world: World) -> None:
    rules = [
        rule("First", _VARIABLE, "no"),
        rule("Second", _VARIABLE, "y", "CONTAINS"),
        rule("Third", "#{codepipeline.PipelineExecutionId}", "[0-9a-f-]{36}", "MATCHES"),
    ]
    id_ = world.make(
        _decide(world, "no"),
        build_stage("Build", "build", beforeEntry={"conditions": [{"result": "FAIL", "rules": rules}]}),
    )
    assert world.end(id_) == "Failed"
    state = world.state("Build")
    assert state["latestExecution"]["status"] == "Failed"
    (one,) = state["beforeEntryConditionState"]["conditionStates"]
    assert [look["latestExecution"]["status"] for look in one["ruleStates"]] == [
        "Succeeded",
        "Failed",
        "Succeeded",
    ]
    assert one["latestExecution"]["summary"].startswith("Second: ")
    assert [each["stageName"] for each in world.actions(id_)] == ["Source", "Decide"]


def test_a_variable_that_nobody_made_fails_the_stage_though_it_would_be_skipped(world: World) -> None:
    id_ = world.make(
        _decide(world, "no"),
        build_stage("Skipped", "build", namespace="Made", beforeEntry=entry("SKIP", _VARIABLE, "yes")),
        build_stage("Build", "build", beforeEntry=entry("SKIP", "#{Made.RESULT}", "yes")),
    )
    assert world.end(id_) == "Failed"
    condition = world.state("Build")["beforeEntryConditionState"]
    assert condition["latestExecution"]["status"] == "Errored"
    (look,) = condition["conditionStates"][0]["ruleStates"]
    assert "#{Made.RESULT}: there is no such variable" in look["latestExecution"]["errorDetails"]["message"]


def _release_stage(world: World) -> dict[str, Any]:
    """A person's approval, then a build, in one stage that is entered on condition."""
    stage = approval_stage(
        CustomData="go on: #{Decided.PROMOTE}", ExternalEntityLink="https://report/#{Decided.PROMOTE}"
    )
    configuration = {"ProjectName": "build"}
    build = action("Build", "CodeBuild", "Build", configuration=configuration, inputs=["code"], runOrder=2)
    return {**stage, "actions": [*stage["actions"], build], "beforeEntry": entry("SKIP", _VARIABLE, "yes")}


def test_an_approval_before_a_build_in_one_stage_lets_the_build_run_when_it_is_given(world: World) -> None:
    id_ = world.make(_decide(world, "yes"), _release_stage(world))
    token = world.token()
    (person, build) = world.state("Approve")["actionStates"]
    assert person["latestExecution"]["externalExecutionUrl"] == "https://report/yes"
    assert "latestExecution" not in build
    world.answer("Approved", token)
    assert world.end(id_) == "Succeeded"
    ran = world.actions(id_)
    assert [each["actionName"] for each in ran] == ["Take", "Build", "Person", "Build"]
    assert ran[2]["input"]["resolvedConfiguration"]["CustomData"] == "go on: yes"


def test_a_rejection_fails_the_stage_before_the_build(world: World) -> None:
    id_ = world.make(_decide(world, "yes"), _release_stage(world))
    world.answer("Rejected", world.token())
    assert world.end(id_) == "Failed"
    assert [each["actionName"] for each in world.actions(id_)] == ["Take", "Build", "Person"]
    assert world.state("Approve")["latestExecution"]["status"] == "Failed"


def test_a_stage_that_is_skipped_asks_nobody(world: World) -> None:
    id_ = world.make(_decide(world, "no"), _release_stage(world))
    assert world.end(id_) == "Succeeded"
    assert json.dumps(world.state("Approve")["actionStates"]).count("latestExecution") == 0
