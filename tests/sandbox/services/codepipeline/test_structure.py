"""What CreatePipeline refuses before anything runs, and entry conditions: who is let in, who is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.codepipeline.structure import holds
from tests.sandbox.services.codepipeline.world import World, action, approval_stage, build_stage, entry, rule
from tests.waiting import FOREVER


@pytest.fixture
def world(sandbox: Sandbox) -> World:
    return World(sandbox)


def _two_sources() -> dict[str, Any]:
    return build_stage("Build", "build", inputs=["code", "code2"])


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], "at least 2 stages"),
        ([build_stage("Source", "build")], "stage Source: expected a name of its own"),
        ([build_stage("Build", "build", inputs=["nothing"])], "input artifact nothing is the output of no"),
        ([build_stage("Build", "build", outputs=["code"])], "output artifact code is declared twice"),
        ([_two_sources()], "PrimarySource: expected one of code, code2"),
        ([{"name": "Empty", "actions": []}], "at least one action"),
        ([approval_stage(Comment="x")], "unknown configuration Comment"),
        (
            [{"name": "Build", "actions": [action("Build", "CodeBuild", "Build", inputs=["code"])]}],
            "configuration ProjectName is required",
        ),
        (
            [{"name": "Build", "actions": [action("Build", "Jenkins", "Build", inputs=["code"])]}],
            "the sandbox runs",
        ),
        (
            [{"name": "More", "actions": [action("Source", "S3", "Take", outputs=["more"])]}],
            "no Source action",
        ),
    ],
)
def test_a_structure_that_cannot_run_is_refused_with_its_place(
    world: World, stages: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        world.client("codepipeline").create_pipeline(pipeline=world.declaration(*stages))
    assert world.client("codepipeline").list_pipelines()["pipelines"] == []


def test_a_role_that_does_not_trust_codepipeline_is_refused(world: World) -> None:
    declared = world.declaration(build_stage("Build", "build"), roleArn=world.roles["codebuild"])
    with pytest.raises(ClientError, match="not authorized to perform AssumeRole"):
        world.client("codepipeline").create_pipeline(pipeline=declared)


def _entered(result: str = "SKIP", **changed: Any) -> dict[str, Any]:
    condition = entry(result, "#{Taken.VersionId}", "x")
    condition["conditions"][0]["rules"][0].update(changed)
    return build_stage("Build", "build", beforeEntry=condition)


def _kind(**changed: str) -> dict[str, str]:
    return {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1", **changed}


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (
            build_stage("Build", "build", onFailure={"result": "FAIL", "conditions": [{"result": "FAIL"}]}),
            "stage Build: onFailure: the sandbox does not evaluate",
        ),
        (
            build_stage("Build", "build", onFailure={"result": "ROLLBACK"}),
            "stage Build: onFailure: .* nor retry or roll back a stage; no template uses them",
        ),
        (
            build_stage(
                "Build",
                "build",
                onFailure={"result": "RETRY", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}},
            ),
            "stage Build: onFailure: .* nor retry or roll back a stage; no template uses them",
        ),
        (
            {**build_stage("Build", "build"), "onSuccess": entry("FAIL", "#{Taken.VersionId}", "x")},
            "stage Build: onSuccess: the sandbox does not evaluate",
        ),
        (
            _entered(ruleTypeId=_kind(provider="CloudWatchAlarm")),
            "evaluates VariableCheck.* got CloudWatchAlarm",
        ),
        (_entered(ruleTypeId=_kind(version="2")), "version 1; got VariableCheck, owner AWS, version 2"),
        (_entered("ROLLBACK"), "beforeEntry: result: expected FAIL or SKIP, got ROLLBACK"),
        (_entered(configuration={"Variable": "#{Taken.VersionId}"}), "expected Variable, Value and Operator"),
        (
            _entered(configuration={"Variable": "#{a.b}", "Value": "1", "Operator": "GT"}),
            "rule Check: configuration: Operator: expected EQ, NE, CONTAINS, MATCHES, got 'GT'",
        ),
        (_entered(inputArtifacts=[{"name": "code"}]), "inputArtifacts: VariableCheck takes none"),
        (
            build_stage(
                "Build",
                "build",
                beforeEntry={
                    "conditions": [{"result": "FAIL", "rules": [rule("Twice", "#{a.b}", "1")] * 2}],
                },
            ),
            "rule Twice: expected a name of its own",
        ),
    ],
)
def test_conditions_that_are_not_evaluated_are_refused_and_not_ignored(
    world: World, stage: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        world.client("codepipeline").create_pipeline(pipeline=world.declaration(stage))


@pytest.mark.parametrize("mode", ["QUEUED", "PARALLEL"])
def test_a_mode_that_no_template_uses_is_refused(world: World, mode: str) -> None:
    world.project("build", "true")
    declared = world.declaration(build_stage("Build", "build"))
    words = f"does not run pipelines in mode {mode}, only in SUPERSEDED; no template uses it"
    client = world.client("codepipeline")
    with pytest.raises(ClientError, match=words):
        client.create_pipeline(pipeline={**declared, "executionMode": mode})
    world.make(*declared["stages"][1:], executionMode="SUPERSEDED")
    with pytest.raises(ClientError, match=words) as refused:
        client.update_pipeline(pipeline={**declared, "executionMode": mode})
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert client.get_pipeline(name=world.name)["pipeline"]["executionMode"] == "SUPERSEDED"


def test_a_condition_needs_a_pipeline_of_type_v2(world: World) -> None:
    with pytest.raises(ClientError, match="beforeEntry: expected a pipeline of type V2"):
        world.client("codepipeline").create_pipeline(
            pipeline=world.declaration(_entered(), pipelineType="V1")
        )


def test_a_condition_is_returned_as_it_was_given(world: World) -> None:
    world.project("build", "true")
    stage = _entered()
    world.make(stage)
    got = world.client("codepipeline").get_pipeline(name=world.name)["pipeline"]["stages"][1]
    assert got["beforeEntry"] == stage["beforeEntry"]


def test_an_update_counts_versions_and_leaves_running_executions_theirs(world: World) -> None:
    world.project("build", "true")
    world.put(text="x")
    first = world.make(approval_stage(), build_stage("Build", "build"))
    token = world.token()
    client = world.client("codepipeline")
    client.update_pipeline(pipeline=world.declaration(build_stage("Other", "build")))
    described = client.get_pipeline(name=world.name)["pipeline"]
    assert (described["version"], [stage["name"] for stage in described["stages"]]) == (
        2,
        ["Source", "Other"],
    )
    world.answer("Approved", token)
    assert world.end(first) == "Succeeded"
    assert [each["stageName"] for each in world.actions(first)] == ["Source", "Approve", "Build"]
    assert world.end(world.start()) == "Succeeded"
    assert [each["stageName"] for each in world.actions(world.executions()[0])] == ["Source", "Other"]


_VARIABLE = "#{Decided.PROMOTE}"


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
    assert events.wait_idle(FOREVER)
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
