"""Pipelines that run: artifacts through stages, approvals, failures, retries and rollbacks."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from tests.sandbox.codepipeline_world import (
    ACCOUNT,
    KEY,
    REGION,
    SOURCE,
    STORE,
    World,
    action,
    approval_stage,
    build_stage,
    code_of,
    wait_for,
)


@pytest.fixture
def world(sandbox: Sandbox) -> World:
    return World(sandbox)


@pytest.fixture
def enforced(tmp_path: Path, images: Any) -> Iterator[World]:
    """The same where roles may do only what their policies say."""
    with Sandbox(
        tmp_path / "enforced", images, accounts=(ACCOUNT,), region=REGION, enforce_iam=True
    ) as opened:
        yield World(opened)


def test_artifacts_go_from_stage_to_stage_under_the_pipelines_key(world: World) -> None:
    world.project(
        "first",
        "mkdir out && tr a-z A-Z < text > out/text",
        'GREETING="seen $(cat text)"',
        env={"exported-variables": ["GREETING"]},
        artifacts={
            "files": ["out/text"],
            "discard-paths": "yes",
            "secondary-artifacts": {"loud": {"files": ["text"], "base-directory": "out"}},
        },
    )
    world.project(
        "second",
        'test "$(cat text)" = HELLO',
        'test "$(cat "$CODEBUILD_SRC_DIR_code"/text)" = hello',
        'test "$GREETING" = "seen hello"',
    )
    world.put(text="hello")
    variables = json.dumps([{"name": "GREETING", "value": "#{First.GREETING}"}])
    id_ = world.make(
        build_stage("First", "first", outputs=["loud"], namespace="First"),
        build_stage(
            "Second",
            "second",
            inputs=["code", "loud"],
            configuration={"PrimarySource": "loud", "EnvironmentVariables": variables},
        ),
    )
    assert world.end(id_) == "Succeeded", world.actions(id_)
    source, first, second = world.actions(id_)
    assert first["input"]["inputArtifacts"] == source["output"]["outputArtifacts"]
    (loud,) = first["output"]["outputArtifacts"]
    assert second["input"]["inputArtifacts"] == [*source["output"]["outputArtifacts"], loud]
    assert world.artifact(loud).read("text") == b"HELLO"
    head = world.client("s3").head_object(Bucket=STORE, Key=loud["s3location"]["key"])
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", world.key)
    assert first["output"]["outputVariables"] == {"GREETING": "seen hello"}


def test_a_new_object_starts_it_once_through_its_rule_and_role(world: World) -> None:
    world.project("build", "true")
    world.put(text="one")
    first = world.make(build_stage("Build", "build"))
    assert world.end(first) == "Succeeded"
    rule = world.start_on_push()
    version = world.put(text="two")
    wait_for(lambda: len(world.executions()), lambda count: count > 1)
    assert world.end(world.executions()[0]) == "Succeeded"
    assert events.wait_idle() and len(world.executions()) == 2
    described = world.execution(world.executions()[0])
    assert described["trigger"] == {"triggerType": "CloudWatchEvent", "triggerDetail": rule}
    assert described["artifactRevisions"][0]["revisionId"] == version


def test_a_missing_source_fails_and_says_which(world: World) -> None:
    world.project("build", "true")
    id_ = world.make(build_stage("Build", "build"))
    assert world.end(id_) == "Failed"
    message = world.latest("Source")["errorDetails"]["message"]
    assert KEY in message and SOURCE in message


def test_a_failed_build_fails_its_stage_with_the_builds_reason_and_its_id(world: World) -> None:
    world.project("build", "echo no; exit 3")
    world.put(text="x")
    id_ = world.make(build_stage("Build", "build"), build_stage("Never", "build"))
    assert world.end(id_) == "Failed"
    latest = world.latest("Build")
    assert "exit status 3" in latest["errorDetails"]["message"]
    (build,) = world.client("codebuild").batch_get_builds(ids=[latest["externalExecutionId"]])["builds"]
    assert build["buildStatus"] == "FAILED" and build["initiator"] == f"codepipeline/{world.name}"
    assert "latestExecution" not in world.state("Never")


def test_a_stage_that_fails_goes_back_to_what_went_well_there(world: World) -> None:
    world.project("build", 'test "$(cat text)" = good')
    world.put(text="good")
    good = world.make(build_stage("Build", "build", onFailure={"result": "ROLLBACK"}))
    assert world.end(good) == "Succeeded"
    world.put(text="bad")
    bad = world.start()
    assert world.end(bad) == "Failed"
    wait_for(lambda: len(world.executions()), lambda count: count == 3)
    back = world.executions()[0]
    assert world.end(back) == "Succeeded"
    described = world.execution(back)
    assert (described["executionType"], described["trigger"]["triggerType"]) == (
        "ROLLBACK",
        "AutomatedRollback",
    )
    assert described["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": good}
    ran = world.actions(back)
    assert [each["stageName"] for each in ran] == ["Build"]
    assert ran[0]["input"]["inputArtifacts"] == world.actions(good)[1]["input"]["inputArtifacts"]
    assert world.state("Build")["latestExecution"] == {
        "pipelineExecutionId": back,
        "status": "Succeeded",
        "type": "ROLLBACK",
    }


def test_a_person_rolls_a_stage_back_and_not_to_a_rollback(world: World) -> None:
    world.project("build", "true")
    world.put(text="x")
    first = world.make(build_stage("Build", "build"))
    assert world.end(first) == "Succeeded"
    client = world.client("codepipeline")
    again = client.rollback_stage(
        pipelineName=world.name, stageName="Build", targetPipelineExecutionId=first
    )["pipelineExecutionId"]
    assert world.end(again) == "Succeeded"
    for target, stage in ((again, "Build"), (first, "Source")):
        with pytest.raises(ClientError) as refused:
            client.rollback_stage(pipelineName=world.name, stageName=stage, targetPipelineExecutionId=target)
        assert code_of(refused.value) == "UnableToRollbackStageException"


def test_a_retry_runs_only_what_failed(world: World) -> None:
    marker = world.sandbox.folder / "mended"
    world.project("always", "true")
    world.project("sometimes", f"test -e '{marker}'")
    world.put(text="x")
    both = build_stage("Build", "always")
    both["actions"] += [{**build_stage("Build", "sometimes")["actions"][0], "name": "Second"}]
    id_ = world.make(both)
    assert world.end(id_) == "Failed"
    marker.touch()
    world.client("codepipeline").retry_stage_execution(
        pipelineName=world.name, stageName="Build", pipelineExecutionId=id_, retryMode="FAILED_ACTIONS"
    )
    assert world.end(id_) == "Succeeded"
    assert [each["actionName"] for each in world.actions(id_)].count("Build") == 1
    assert [each["status"] for each in world.actions(id_) if each["actionName"] == "Second"] == [
        "Failed",
        "Succeeded",
    ]


def test_a_transition_that_is_disabled_lets_nobody_in(world: World) -> None:
    world.project("build", "true")
    world.put(text="x")
    client, names = world.client("codepipeline"), {"pipelineName": "delivery", "stageName": "Build"}
    assert world.end(world.make(build_stage("Build", "build"))) == "Succeeded"
    client.disable_stage_transition(**names, transitionType="Inbound", reason="a freeze")
    id_ = world.start()
    wait_for(lambda: world.state("Build").get("inboundExecution"), bool)
    assert world.state("Build")["inboundTransitionState"]["disabledReason"] == "a freeze"
    client.enable_stage_transition(**names, transitionType="Inbound")
    assert world.end(id_) == "Succeeded"


def test_stopping_ends_the_build_that_runs(world: World) -> None:
    world.project("build", "sleep 60")
    world.put(text="x")
    id_ = world.make(build_stage("Build", "build"))
    build = wait_for(lambda: world.latest("Build").get("externalExecutionId"), bool)
    world.client("codepipeline").stop_pipeline_execution(
        pipelineName=world.name, pipelineExecutionId=id_, abandon=True, reason="enough"
    )
    assert world.end(id_) == "Stopped"
    assert world.latest("Build")["status"] == "Abandoned"
    (found,) = world.client("codebuild").batch_get_builds(ids=[build])["builds"]
    assert found["buildStatus"] == "STOPPED"


def test_a_function_as_an_action_answers_for_its_job(world: World) -> None:
    code = (
        "import boto3\n"
        "def handler(event, context):\n"
        "    job = event['CodePipeline.job']\n"
        "    given = job['data']['actionConfiguration']['configuration']['UserParameters']\n"
        "    boto3.client('codepipeline').put_job_success_result(\n"
        "        jobId=job['id'], outputVariables={'said': given.upper()})\n"
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("app.py", code)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = world.client("iam").create_role(
        RoleName="function", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
    )["Role"]["Arn"]
    world.allow("function", "codepipeline:*", "logs:*")
    world.client("lambda").create_function(
        FunctionName="shout",
        Runtime="python3.12",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    world.project("build", "true")
    world.put(text="x")
    configuration = {"FunctionName": "shout", "UserParameters": "hello"}
    calling = action("Invoke", "Lambda", "Call", configuration=configuration, namespace="Called")
    id_ = world.make({"name": "Call", "actions": [calling]}, build_stage("Build", "build"))
    assert world.end(id_) == "Succeeded", world.actions(id_)
    assert world.actions(id_)[1]["output"]["outputVariables"] == {"said": "HELLO"}


def test_what_the_pipelines_role_may_not_do_fails_there(enforced: World) -> None:
    enforced.project("build", "true")
    enforced.put(text="x")
    enforced.allow("codepipeline", "s3:*", "kms:*")
    id_ = enforced.make(build_stage("Build", "build"))
    assert enforced.end(id_) == "Failed"
    error = enforced.latest("Build")["errorDetails"]
    assert error["code"] == "PermissionError" and "codebuild:StartBuild" in error["message"]
    enforced.allow("codepipeline", "s3:*", "codebuild:*")
    second = enforced.start()
    assert enforced.end(second) == "Failed"
    assert "kms:GenerateDataKey" in enforced.latest("Source")["errorDetails"]["message"]


def test_changes_of_state_are_events(world: World) -> None:
    world.project("build", "true")
    world.put(text="x")
    assert world.end(world.make(build_stage("Build", "build"))) == "Succeeded"
    assert events.wait_idle()
    kinds = [entry.detail_type for entry in events.history() if entry.source == "aws.codepipeline"]
    # started and succeeded: the pipeline, two stages, two actions
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "CodePipeline Pipeline Execution State Change": 2,
        "CodePipeline Stage Execution State Change": 4,
        "CodePipeline Action Execution State Change": 4,
    }


def test_an_execution_that_was_cut_off_has_failed_when_the_sandbox_is_opened_again(
    tmp_path: Path, images: Any
) -> None:
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        world = World(sandbox)
        world.project("build", "true")
        world.put(text="x")
        id_ = world.make(approval_stage(), build_stage("Build", "build"))
        world.token()
        sandbox.save()
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        again = object.__new__(World)
        again.sandbox, again.name = sandbox, "delivery"
        assert again.end(id_) in ("Failed", "Stopped")
        assert "token" not in again.latest("Approve")
