"""Pipelines that run: artifacts through stages, approvals, failures, stops."""

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
from tests.sandbox.services.codepipeline.world import (
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
from tests.waiting import FOREVER


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
    assert events.wait_idle(FOREVER) and len(world.executions()) == 2
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


@pytest.mark.parametrize(
    ("call", "more", "words"),
    [
        ("retry_stage_execution", {"retryMode": "FAILED_ACTIONS"}, "does not retry a stage"),
        ("rollback_stage", {}, "does not roll a stage back"),
        (
            "disable_stage_transition",
            {"transitionType": "Inbound", "reason": "a freeze"},
            "does not disable a transition",
        ),
        ("enable_stage_transition", {"transitionType": "Inbound"}, "does not disable a transition"),
    ],
)
def test_what_no_template_uses_is_refused_and_says_so(
    world: World, call: str, more: dict[str, str], words: str
) -> None:
    world.project("build", "false")
    world.put(text="x")
    id_ = world.make(build_stage("Build", "build"))
    assert world.end(id_) == "Failed"
    ids = {"retry_stage_execution": "pipelineExecutionId", "rollback_stage": "targetPipelineExecutionId"}
    given = {**more, **({ids[call]: id_} if call in ids else {})}
    with pytest.raises(ClientError, match=f"the sandbox {words}; no template uses it") as refused:
        getattr(world.client("codepipeline"), call)(pipelineName=world.name, stageName="Build", **given)
    assert code_of(refused.value) == "ValidationException"
    assert world.executions() == [id_] and world.execution(id_)["status"] == "Failed"
    assert world.state("Build")["inboundTransitionState"] == {"enabled": True}


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
    assert events.wait_idle(FOREVER)
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
