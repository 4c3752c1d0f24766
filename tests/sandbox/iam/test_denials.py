"""Each service refuses in its own protocol, naming IAM's action and the resource's ARN."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.iam import documents, policies
from mlops_workbench.sandbox.iam.calls import PREFIXES
from mlops_workbench.sandbox.iam.resources import RESOURCES
from tests.sandbox.iam.world import REGION, A, B, World, refusal

# service, operation, arguments, action, resource: {a} is the account, {r} the Region
CALLS = [
    ("s3", "put_object", {"Bucket": "b", "Key": "k/x"}, "s3:PutObject", "arn:aws:s3:::b/k/x"),
    ("s3", "list_objects_v2", {"Bucket": "b"}, "s3:ListBucket", "arn:aws:s3:::b"),
    ("s3", "list_buckets", {}, "s3:ListAllMyBuckets", "*"),
    (
        "s3",
        "upload_part",
        {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 1},
        "s3:PutObject",
        "arn:aws:s3:::b/k",
    ),
    (
        "s3",
        "put_bucket_encryption",
        {"Bucket": "b", "ServerSideEncryptionConfiguration": {"Rules": []}},
        "s3:PutEncryptionConfiguration",
        "arn:aws:s3:::b",
    ),
    ("kms", "create_key", {}, "kms:CreateKey", "*"),
    (
        "sqs",
        "send_message",
        {"QueueUrl": "http://127.0.0.1/{a}/q", "MessageBody": "x"},
        "sqs:SendMessage",
        "arn:aws:sqs:{r}:{a}:q",
    ),
    (
        "sns",
        "publish",
        {"TopicArn": "arn:aws:sns:{r}:{a}:t", "Message": "x"},
        "sns:Publish",
        "arn:aws:sns:{r}:{a}:t",
    ),
    ("lambda", "invoke", {"FunctionName": "f"}, "lambda:InvokeFunction", "arn:aws:lambda:{r}:{a}:function:f"),
    (
        "lambda",
        "invoke",
        {"FunctionName": "arn:aws:lambda:{r}:{a}:function:f", "Qualifier": "v"},
        "lambda:InvokeFunction",
        "arn:aws:lambda:{r}:{a}:function:f:v",
    ),
    (
        "secretsmanager",
        "create_secret",
        {"Name": "a/b"},
        "secretsmanager:CreateSecret",
        "arn:aws:secretsmanager:{r}:{a}:secret:a/b-000000",
    ),
    (
        "ssm",
        "get_parameter",
        {"Name": "/mlops/foundation"},
        "ssm:GetParameter",
        "arn:aws:ssm:{r}:{a}:parameter/mlops/foundation",
    ),
    (
        "codepipeline",
        "put_approval_result",
        {
            "pipelineName": "p",
            "stageName": "s",
            "actionName": "a",
            "result": {"status": "Approved", "summary": ""},
            "token": "00000000-0000-0000-0000-000000000000",
        },
        "codepipeline:PutApprovalResult",
        "arn:aws:codepipeline:{r}:{a}:p/s/a",
    ),
    (
        "codepipeline",
        "retry_stage_execution",
        {
            "pipelineName": "p",
            "stageName": "s",
            "pipelineExecutionId": "00000000-0000-0000-0000-000000000000",
            "retryMode": "ALL_ACTIONS",
        },
        "codepipeline:RetryStageExecution",
        "arn:aws:codepipeline:{r}:{a}:p/s",
    ),
    (
        "sagemaker",
        "start_pipeline_execution",
        {"PipelineName": "p"},
        "sagemaker:StartPipelineExecution",
        "arn:aws:sagemaker:{r}:{a}:pipeline/p",
    ),
    (
        "sagemaker",
        "create_model_package",
        {"ModelPackageGroupName": "g"},
        "sagemaker:CreateModelPackage",
        "arn:aws:sagemaker:{r}:{a}:model-package/g/*",
    ),
    (
        "sagemaker",
        "create_endpoint",
        {"EndpointName": "e", "EndpointConfigName": "c"},
        "sagemaker:CreateEndpoint",
        "arn:aws:sagemaker:{r}:{a}:endpoint/e",
    ),
    (
        "codebuild",
        "start_build",
        {"projectName": "p"},
        "codebuild:StartBuild",
        "arn:aws:codebuild:{r}:{a}:project/p",
    ),
    (
        "codebuild",
        "batch_get_builds",
        {"ids": ["p:1-2"]},
        "codebuild:BatchGetBuilds",
        "arn:aws:codebuild:{r}:{a}:project/p",
    ),
    (
        "codepipeline",
        "start_pipeline_execution",
        {"name": "p"},
        "codepipeline:StartPipelineExecution",
        "arn:aws:codepipeline:{r}:{a}:p",
    ),
    (
        "events",
        "put_rule",
        {"Name": "r", "EventPattern": "{{}}"},
        "events:PutRule",
        "arn:aws:events:{r}:{a}:rule/r",
    ),
    (
        "events",
        "put_events",
        {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{{}}"}]},
        "events:PutEvents",
        "arn:aws:events:{r}:{a}:event-bus/default",
    ),
    (
        "logs",
        "create_log_stream",
        {"logGroupName": "/g", "logStreamName": "s"},
        "logs:CreateLogStream",
        "arn:aws:logs:{r}:{a}:log-group:/g:log-stream:s",
    ),
    (
        "logs",
        "create_log_group",
        {"logGroupName": "/g"},
        "logs:CreateLogGroup",
        "arn:aws:logs:{r}:{a}:log-group:/g:log-stream:",
    ),
    (
        "iam",
        "create_role",
        {"Path": "/mlops/", "RoleName": "x", "AssumeRolePolicyDocument": "{{}}"},
        "iam:CreateRole",
        "arn:aws:iam::{a}:role/mlops/x",
    ),
    (
        "cloudwatch",
        "put_metric_data",
        {"Namespace": "n", "MetricData": [{"MetricName": "m"}]},
        "cloudwatch:PutMetricData",
        "*",
    ),
    ("apigatewayv2", "get_apis", {}, "apigateway:GET", "arn:aws:apigateway:{r}::/v2/apis"),
]


def _fill(value: Any) -> Any:
    if isinstance(value, str):
        return value.format(a=A, r=REGION)
    if isinstance(value, dict):
        return {key: _fill(each) for key, each in value.items()}
    return [_fill(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all: nothing is made in it."""
    with Sandbox(tmp_path_factory.mktemp("access"), accounts=(A, B), enforce_iam=True) as sandbox:
        yield World(sandbox)


@pytest.fixture(scope="module")
def powerless(world: World) -> str:
    return world.role("powerless")


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "action", "resource"),
    CALLS,
    ids=[f"{c[0]}-{c[1]}-{i}" for i, c in enumerate(CALLS)],
)
def test_a_role_without_policies_may_do_nothing(
    world: World,
    powerless: str,
    service: str,
    operation: str,
    arguments: dict[str, Any],
    action: str,
    resource: str,
) -> None:
    shown = f'"{_fill(resource)}"' if service == "s3" else _fill(resource)
    client = world.acting_as(powerless, service)
    assert refusal(getattr(client, operation), **_fill(arguments)) == (
        f"User: arn:aws:sts::{A}:assumed-role/powerless/session is not authorized to perform: {action} "
        f"on resource: {shown} because no identity-based policy allows the {action} action"
    )


def test_everybody_may_ask_who_they_are(world: World, powerless: str) -> None:
    assert world.acting_as(powerless, "sts").get_caller_identity()["Account"] == A


def test_the_readme_says_what_is_enforced() -> None:
    text = (Path(__file__).parents[3] / "shared/workbench/README.md").read_text("utf-8")

    def named(what: str) -> list[str]:
        (found,) = re.findall(rf"<!-- {what} -->(.*?)<!-- end -->", text)
        return found.split(", ")

    by_resource = {PREFIXES.get(service, service) for service in RESOURCES} | {"apigateway"}
    assert named("resources") == sorted(by_resource)
    assert by_resource >= {action.split(":")[0] for *_, action, _ in CALLS}
    # A role's trust policy is the policy of a resource of IAM, and STS asks it.
    assert named("resource policies") == sorted({*policies.SERVICES, "sts"})
    assert named("operators") == sorted({*documents.OPERATORS, "Null"})
