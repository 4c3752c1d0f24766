"""Who may do what in the delivery: role x action x resource, asked of the policies that Terraform has made.

The policies and the boundary are read back from IAM and evaluated as AWS documents it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlops_sandbox.server import current

from tests.foundation.terraform_roots import may
from tests.terraform_delivery import (
    PRODUCTION,
    REGION,
    SHARED,
    SOURCE_BUCKET,
    Case,
    applied,
    case_name,
)

pytestmark = pytest.mark.slow

NAME, GROUP = "email-router-endpoint", "email-router"
TARGETS = ("module.build", "module.events.module.role", "module.key", "module.pipeline_role")
PATHS = {"staging": "mlops/deploy-staging/", "production": "mlops/deploy/"}
OURS = f"arn:aws:s3:::mlops-{NAME}-{SHARED}-{REGION}"
MODELS = f"arn:aws:s3:::mlops-{GROUP}-{SHARED}-{REGION}"
SOURCE = f"arn:aws:s3:::{SOURCE_BUCKET}"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{SHARED}"
VERSION, GROUP_ARN = f"{SAGEMAKER}:model-package/{GROUP}/3", f"{SAGEMAKER}:model-package-group/{GROUP}"
PIPELINE = f"arn:aws:codepipeline:{REGION}:{SHARED}:{NAME}"
PROJECT = f"arn:aws:codebuild:{REGION}:{SHARED}:project/{NAME}"
LOGS = f"arn:aws:logs:{REGION}:{SHARED}:log-group:/aws/codebuild/{NAME}"
TOPIC = f"arn:aws:sns:{REGION}:{SHARED}:mlops-notifications"
ROLES = {account: f"arn:aws:iam::{account}:role" for account in (SHARED, PRODUCTION)}
STAGING_ROLE = f"{ROLES[SHARED]}/mlops-deployment-staging"
PRODUCTION_ROLE = f"{ROLES[PRODUCTION]}/mlops-deployment"
APPROVED = {"sagemaker:ModelApprovalStatus": "Approved"}
BY_SNS = {"kms:ViaService": f"sns.{REGION}.amazonaws.com"}

# role, action, resource ("key": the delivery's, "foundation key": the foundation's), conditions, allowed
CASES: list[Case] = [
    # CodePipeline: this source, this folder for artifacts, these builds, this topic
    ("pipeline", "s3:GetObject", f"{SOURCE}/{NAME}/main.zip", {}, True),
    ("pipeline", "kms:Decrypt", "foundation key", {}, True),
    ("pipeline", "s3:PutObject", f"{OURS}/{NAME[:20]}/source/abc123", {}, True),
    ("pipeline", "codebuild:StartBuild", f"{PROJECT}-staging", {}, True),
    ("pipeline", "codebuild:StartBuild", f"{PROJECT}-production", {}, True),
    ("pipeline", "sns:Publish", TOPIC, {}, True),
    ("pipeline", "kms:GenerateDataKey", "foundation key", BY_SNS, True),
    ("pipeline", "kms:GenerateDataKey", "foundation key", {}, False),
    ("pipeline", "sns:Publish", f"{TOPIC}-production", {}, False),
    ("pipeline", "s3:GetObject", f"{SOURCE}/{GROUP}/main.zip", {}, False),
    ("pipeline", "s3:PutObject", f"{OURS}/deployments/production/live.json", {}, False),
    ("pipeline", "s3:GetObject", f"{OURS}/reports/1/staging.html", {}, False),
    ("pipeline", "codebuild:StartBuild", f"{PROJECT[: -len('-endpoint')]}-build", {}, False),
    ("pipeline", "sts:AssumeRole", STAGING_ROLE, {}, False),
    ("pipeline", "codepipeline:PutApprovalResult", f"{PIPELINE}/Production/Approve", {}, False),
    # staging's build: reads this group, keeps records and reports, becomes staging's deployment role
    ("staging", "sagemaker:ListModelPackages", GROUP_ARN, {}, True),
    ("staging", "sagemaker:ListModelPackages", VERSION, {}, True),
    ("staging", "sagemaker:DescribeModelPackage", VERSION, {}, True),
    ("staging", "sagemaker:DescribeModelPackageGroup", GROUP_ARN, {}, True),
    ("staging", "s3:ListBucket", MODELS, {"s3:prefix": "models/run-1/model.tar.gz"}, True),
    ("staging", "s3:PutObject", f"{OURS}/deployments/staging/live.json", {}, True),
    ("staging", "s3:PutObject", f"{OURS}/deployments/production/proposed.json", {}, True),
    ("staging", "s3:GetObject", f"{OURS}/deployments/production/live.json", {}, True),
    ("staging", "s3:DeleteObject", f"{OURS}/deployments/staging/live.json", {}, True),
    ("staging", "s3:PutObject", f"{OURS}/reports/1/staging.html", {}, True),
    ("staging", "s3:ListBucket", OURS, {}, True),
    ("staging", "s3:GetObject", f"{OURS}/{NAME[:20]}/source/abc123", {}, True),
    ("staging", "s3:PutObject", f"{OURS}/{NAME[:20]}/staged/abc123", {}, True),
    ("staging", "kms:GenerateDataKey", "key", {}, True),
    ("staging", "codepipeline:GetPipelineExecution", PIPELINE, {}, True),
    ("staging", "codepipeline:ListPipelineExecutions", PIPELINE, {}, True),
    ("staging", "codebuild:ListBuildsForProject", f"{PROJECT}-staging", {}, True),
    ("staging", "codebuild:BatchGetBuilds", f"{PROJECT}-production", {}, True),
    ("staging", "logs:PutLogEvents", f"{LOGS}-staging:log-stream:1", {}, True),
    ("staging", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Deployments"}, True),
    ("staging", "sts:AssumeRole", STAGING_ROLE, {}, True),
    ("staging", "sts:AssumeRole", PRODUCTION_ROLE, {}, False),
    ("staging", "sts:AssumeRole", f"{ROLES[SHARED]}/mlops-deployment", {}, False),  # in a single account
    ("staging", "sts:AssumeRole", f"{ROLES[SHARED]}/administrator", {}, False),
    ("staging", "sagemaker:UpdateModelPackage", VERSION, APPROVED, False),
    ("staging", "sagemaker:UpdateModelPackage", VERSION, {}, False),
    ("staging", "sagemaker:CreateModelPackage", VERSION, {}, False),
    ("staging", "codepipeline:PutApprovalResult", f"{PIPELINE}/Production/Approve", {}, False),
    ("staging", "codepipeline:StartPipelineExecution", PIPELINE, {}, False),
    ("staging", "codebuild:StartBuild", f"{PROJECT}-production", {}, False),
    ("staging", "sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/salaries/1", {}, False),
    ("staging", "sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/{NAME}-staging", {}, False),
    ("staging", "s3:GetObject", f"{MODELS}/models/run-1/model.tar.gz", {}, False),
    ("staging", "s3:ListBucket", MODELS, {"s3:prefix": "data/"}, False),
    ("staging", "s3:ListBucket", MODELS, {}, False),
    ("staging", "s3:DeleteObject", f"{OURS}/deployments/staging/history/20260101T000000Z-v1.json", {}, False),
    ("staging", "s3:DeleteObject", f"{OURS}/reports/1/staging.html", {}, False),
    ("staging", "s3:PutObject", f"{SOURCE}/{NAME}/main.zip", {}, False),
    ("staging", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/SageMaker"}, False),
    ("staging", "kms:Decrypt", "foundation key", {}, False),
    ("staging", "logs:PutLogEvents", f"{LOGS}-production:log-stream:1", {}, False),
    ("staging", "iam:PassRole", f"{ROLES[SHARED]}/mlops/service-staging/x", {}, False),
    # production's build: looks at the version once more, keeps records and reports, becomes production's role
    ("production", "sagemaker:DescribeModelPackage", VERSION, {}, True),
    ("production", "s3:PutObject", f"{OURS}/deployments/production/live.json", {}, True),
    ("production", "s3:GetObject", f"{OURS}/deployments/staging/live.json", {}, True),
    ("production", "s3:PutObject", f"{OURS}/reports/1/production.html", {}, True),
    ("production", "s3:GetObject", f"{OURS}/{NAME[:20]}/staged/abc123", {}, True),
    ("production", "codebuild:ListBuildsForProject", f"{PROJECT}-production", {}, True),
    ("production", "codebuild:BatchGetBuilds", f"{PROJECT}-production", {}, True),
    ("production", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Deployments"}, True),
    ("production", "sts:AssumeRole", PRODUCTION_ROLE, {}, True),
    ("production", "sts:AssumeRole", STAGING_ROLE, {}, False),
    ("production", "sts:AssumeRole", f"{ROLES[PRODUCTION]}/administrator", {}, False),
    ("production", "sagemaker:UpdateModelPackage", VERSION, APPROVED, False),
    ("production", "sagemaker:CreateModelPackage", VERSION, {}, False),
    ("production", "sagemaker:ListModelPackages", GROUP_ARN, {}, False),
    ("production", "codepipeline:PutApprovalResult", f"{PIPELINE}/Production/Approve", {}, False),
    ("production", "codebuild:ListBuildsForProject", f"{PROJECT}-staging", {}, False),
    ("production", "s3:ListBucket", MODELS, {"s3:prefix": "models/"}, False),
    ("production", "s3:GetObject", f"{MODELS}/models/run-1/model.tar.gz", {}, False),
    ("production", "s3:DeleteObject", f"{OURS}/deployments/production/history/1.json", {}, False),
    ("production", "kms:Decrypt", "foundation key", {}, False),
    # EventBridge: starts this pipeline
    ("events", "codepipeline:StartPipelineExecution", PIPELINE, {}, True),
    ("events", "codepipeline:StartPipelineExecution", f"{PIPELINE}-2", {}, False),
    ("events", "codebuild:StartBuild", f"{PROJECT}-production", {}, False),
]


@pytest.fixture(scope="module")
def keys(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The delivery's policies, made by Terraform; the ARNs of the two keys by the names that cases use."""
    repository = generate(tmp_path_factory.mktemp("access"), directory="serverless-inference")
    with applied(repository, tmp_path_factory.mktemp("sandbox"), targets=TARGETS) as world:
        ours = world.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["Arn"]
        yield {"key": ours, "foundation key": world.foundation.kms_key_arn}


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_a_role_may_do_what_it_has_to_and_nothing_beside_it(keys: dict[str, str], case: Case) -> None:
    role, action, resource, conditions, allowed = case
    arn = f"{ROLES[SHARED]}/{PATHS.get(role, '')}{NAME}-{role}"
    assert may(arn, action, keys.get(resource, resource), conditions) is allowed


def test_no_allowing_statement_of_a_role_has_a_wildcard_for_its_actions(keys: dict[str, str]) -> None:
    iam = current().client("iam")
    for role in ("pipeline", "events", "staging", "production"):
        name = f"{NAME}-{role}"
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            assert "*" not in json.dumps([statement["Action"] for statement in document["Statement"]])
