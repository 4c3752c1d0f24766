"""Manual approvals: whom they tell, who may answer, and who waits behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.services.codepipeline.world import (
    ACCOUNT,
    REGION,
    World,
    action,
    approval_stage,
    build_stage,
    code_of,
    entry,
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


def test_an_approval_waits_tells_a_topic_and_goes_on(world: World) -> None:
    topic = world.client("sns").create_topic(Name="people")["TopicArn"]
    queue = world.client("sqs").create_queue(QueueName="inbox")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:inbox"
    world.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    world.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": _from_topic(arn, topic)})
    world.project("build", "true")
    world.put(text="x")
    id_ = world.make(
        approval_stage(
            NotificationArn=topic,
            CustomData="version #{Taken.VersionId}",
            ExternalEntityLink="https://example.com/#{Taken.VersionId}.html",
        ),
        build_stage("Build", "build"),
    )
    token = world.token()
    (message,) = wait_for(
        lambda: world.client("sqs").receive_message(QueueUrl=queue).get("Messages", []), bool
    )
    body = json.loads(message["Body"])
    assert body["Subject"] == "APPROVAL NEEDED: AWS CodePipeline delivery for action Person"
    told = json.loads(body["Message"])
    version = world.execution(id_)["artifactRevisions"][0]["revisionId"]
    home = f"https://console.aws.amazon.com/codepipeline/home?region={REGION}#/view/delivery"
    expires = datetime.strptime(told["approval"].pop("expires"), "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    assert abs(expires - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=5)
    assert told == {
        "region": REGION,
        "consoleLink": home,
        "approval": {
            "pipelineName": "delivery",
            "stageName": "Approve",
            "actionName": "Person",
            "token": token,
            "externalEntityLink": f"https://example.com/{version}.html",
            "approvalReviewLink": f"{home}/Approve/Person/approve/{token}",
            "customData": f"version {version}",
        },
    }
    assert "latestExecution" not in world.state("Build")
    world.answer("Approved", token)
    assert world.end(id_) == "Succeeded"
    assert world.latest("Approve")["summary"] == "because"


def _from_topic(queue: str, topic: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_an_answer_needs_the_token_of_this_request_and_counts_once(world: World) -> None:
    world.project("build", "true")
    world.put(text="x")
    id_ = world.make(approval_stage(), build_stage("Build", "build"))
    token = world.token()
    with pytest.raises(ClientError) as wrong:
        world.answer("Approved", "00000000-0000-0000-0000-000000000000")
    assert code_of(wrong.value) == "InvalidApprovalTokenException"
    world.answer("Rejected", token, "recall is too low")
    assert world.end(id_) == "Failed"
    assert "recall is too low" in world.latest("Approve")["errorDetails"]["message"]
    with pytest.raises(ClientError) as again:
        world.answer("Approved", token)
    assert code_of(again.value) == "ApprovalAlreadyCompletedException"


def test_of_those_that_wait_for_a_stage_the_newest_stays(world: World) -> None:
    world.project("build", "true")
    world.put(text="x")
    first = world.make(approval_stage(), build_stage("Build", "build"))
    token = world.token()
    second = world.start()
    wait_for(lambda: world.state("Approve").get("inboundExecutions"), bool)
    third = world.start()
    assert world.end(second) == "Superseded"
    world.answer("Approved", token)
    assert world.end(first) == "Succeeded"
    world.answer("Approved", wait_for(world.token, lambda found: found != token))
    assert world.end(third) == "Succeeded"


def test_one_that_waits_for_an_answer_keeps_its_stage_and_only_the_newest_behind_it_stays(
    world: World,
) -> None:
    """The older one is what was asked about: what came after does not take its answer away."""
    world.project("build", "true")
    world.put(text="x")
    stages = build_stage("Staging", "build"), _then_build(approval_stage())
    first = world.make(*stages)
    token = world.token()
    second = world.start()
    wait_for(lambda: world.state("Approve").get("inboundExecution"), bool)
    third = world.start()
    assert world.end(second) == "Superseded"
    # Both went through staging; the answer that is waited for is still the first one's.
    assert [each["stageName"] for each in world.actions(second)] == ["Source", "Staging"]
    wait_for(
        lambda: [each["pipelineExecutionId"] for each in world.state("Approve")["inboundExecutions"]],
        lambda waiting: waiting == [third],
    )
    assert world.state("Approve")["latestExecution"]["pipelineExecutionId"] == first
    assert world.token() == token
    world.answer("Rejected", token)
    assert world.end(first) == "Failed"
    world.answer("Approved", wait_for(world.token, lambda found: found != token))
    assert world.end(third) == "Succeeded"


def test_one_that_will_be_skipped_waits_behind_the_answer_too(world: World) -> None:
    world.project("decide", 'GO="$(cat go)"', env={"exported-variables": ["GO"]})
    world.project("build", "true")
    world.put(go="yes")
    release = {**_then_build(approval_stage()), "beforeEntry": entry("SKIP", "#{Decided.GO}", "yes")}
    first = world.make(build_stage("Staging", "decide", namespace="Decided"), release)
    token = world.token()
    world.put(go="no")
    second = world.start()
    wait_for(lambda: world.state("Approve").get("inboundExecution"), bool)
    assert world.execution(second)["status"] == "InProgress"
    world.answer("Approved", token)
    assert (world.end(first), world.end(second)) == ("Succeeded", "Succeeded")
    assert world.state("Approve")["latestExecution"] == {
        "pipelineExecutionId": second,
        "status": "Skipped",
        "type": "STANDARD",
    }


def _then_build(stage: dict[str, Any]) -> dict[str, Any]:
    """Add a build that runs once the stage's approval is given."""
    configuration = {"ProjectName": "build"}
    build = action("Build", "CodeBuild", "Build", configuration=configuration, inputs=["code"], runOrder=2)
    return {**stage, "actions": [*stage["actions"], build]}


def test_an_approval_that_may_not_tell_its_topic_fails_and_asks_nobody(enforced: World) -> None:
    topic = enforced.client("sns").create_topic(Name="people")["TopicArn"]
    enforced.project("build", "true")
    enforced.put(text="x")
    enforced.allow("codepipeline", "s3:*", "kms:*", "codebuild:*")
    id_ = enforced.make(approval_stage(NotificationArn=topic), build_stage("Build", "build"))
    assert enforced.end(id_) == "Failed"
    error = enforced.latest("Approve")["errorDetails"]
    assert error["code"] == "PermissionError"
    assert "assumed-role/codepipeline/" in error["message"] and "sns:Publish" in error["message"]
    assert "token" not in enforced.latest("Approve")
    enforced.allow("codepipeline", "s3:*", "kms:*", "codebuild:*", "sns:Publish")
    second = enforced.start()
    enforced.answer("Approved")
    assert enforced.end(second) == "Succeeded"


def test_an_answer_takes_permission_on_the_very_action(enforced: World) -> None:
    enforced.project("build", "true")
    enforced.put(text="x")
    id_ = enforced.make(approval_stage(), build_stage("Build", "build"))
    token = enforced.token()
    own = f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:delivery"
    answer = {
        "pipelineName": "delivery",
        "stageName": "Approve",
        "actionName": "Person",
        "result": {"status": "Approved", "summary": "mine"},
        "token": token,
    }
    for action_name, resource in (
        ("codepipeline:GetPipelineState", own),  # a role that only looks
        ("codepipeline:PutApprovalResult", own),  # the pipeline's ARN is not the action's
        ("codepipeline:PutApprovalResult", f"{own}/Other/Person"),
    ):
        client = _acting(enforced, action_name, resource)
        with pytest.raises(ClientError, match="not authorized to perform: codepipeline:PutApprovalResult"):
            client.put_approval_result(**answer)
    assert enforced.latest("Approve")["status"] == "InProgress"
    _acting(enforced, "codepipeline:PutApprovalResult", f"{own}/Approve/Person").put_approval_result(**answer)
    assert enforced.end(id_) == "Succeeded"
    assert "assumed-role/person/" in enforced.latest("Approve")["lastUpdatedBy"]


def _acting(world: World, action_name: str, resource: str) -> Any:
    """A client of CodePipeline that acts as a role which may do one thing."""
    iam = world.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    try:
        role = iam.get_role(RoleName="person")["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        role = iam.create_role(RoleName="person", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": action_name, "Resource": resource}
    iam.put_role_policy(
        RoleName="person",
        PolicyName="inline",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    keys = world.client("sts").assume_role(RoleArn=role, RoleSessionName="someone")["Credentials"]
    return boto3.client(
        "codepipeline",
        region_name=REGION,
        endpoint_url=world.sandbox.endpoint_url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )
