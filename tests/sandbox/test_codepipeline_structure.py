"""What CreatePipeline refuses, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.codepipeline_world import World, action, approval_stage, build_stage, entry, rule


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
