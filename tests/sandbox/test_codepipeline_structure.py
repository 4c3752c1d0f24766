"""What CreatePipeline refuses, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from mlops_sandbox import Sandbox

from tests.sandbox.codepipeline_world import World, action, approval_stage, build_stage


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


def test_conditions_that_are_not_evaluated_are_refused_and_not_ignored(world: World) -> None:
    stage = build_stage("Build", "build", onFailure={"result": "FAIL", "conditions": [{"result": "FAIL"}]})
    with pytest.raises(ClientError, match="does not evaluate the rules of conditions"):
        world.client("codepipeline").create_pipeline(pipeline=world.declaration(stage))


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
