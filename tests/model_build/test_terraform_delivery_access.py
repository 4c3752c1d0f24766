"""Who may do what: role x action x resource, asked of the policies that Terraform put into the sandbox.

The policies are read back from IAM, S3, KMS and SageMaker, and evaluated as AWS documents it. Only what
they need is applied (-target), which is much faster than everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox.iam.documents import Policy, context_of, parse
from mlops_workbench.sandbox.iam.evaluator import Principal, Request, evaluate
from tests.terraform_delivery import (
    PRODUCTION,
    REGION,
    SHARED,
    SOURCE_BUCKET,
    Case,
    World,
    applied,
    case_name,
    edit_yaml,
)

pytestmark = pytest.mark.slow

NAME = "email-router"
BUCKET = f"mlops-{NAME}-{SHARED}-{REGION}"
TARGETS = (
    "module.bucket.aws_s3_bucket_policy.this",
    "module.build",
    "module.events.module.role",
    "module.key",
    "module.pipeline_role",
    "module.sagemaker_role",
    "aws_iam_policy.decide",
    "aws_sagemaker_model_package_group.this",
    "aws_sagemaker_model_package_group_policy.this",
)
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{SHARED}"
OURS = f"arn:aws:s3:::{BUCKET}"
SOURCE = f"arn:aws:s3:::{SOURCE_BUCKET}"
ROLE = f"arn:aws:iam::{SHARED}:role/{NAME}-"
DLC = f"arn:aws:ecr:{REGION}:763104351884:repository"
LOGS = f"arn:aws:logs:{REGION}:{SHARED}:log-group:"
TO_SAGEMAKER = {"iam:PassedToService": "sagemaker.amazonaws.com"}
BY_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
APPROVED = {"sagemaker:ModelApprovalStatus": "Approved"}
PENDING = {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}

# role, action, resource ("key": the delivery's, "foundation key": the foundation's), conditions, allowed
CASES: list[Case] = [
    # CodePipeline: this source, this folder for artifacts, this build
    ("pipeline", "s3:GetObject", f"{SOURCE}/{NAME}/main.zip", {}, True),
    ("pipeline", "s3:GetObjectVersion", f"{SOURCE}/{NAME}/main.zip", {}, True),
    ("pipeline", "s3:GetBucketVersioning", SOURCE, {}, True),
    ("pipeline", "kms:Decrypt", "foundation key", {}, True),
    ("pipeline", "s3:PutObject", f"{OURS}/{NAME}/source/abc123", {}, True),
    ("pipeline", "s3:GetObject", f"{OURS}/{NAME}/source/abc123", {}, True),
    ("pipeline", "kms:GenerateDataKey", "key", {}, True),
    (
        "pipeline",
        "codebuild:StartBuild",
        f"arn:aws:codebuild:{REGION}:{SHARED}:project/{NAME}-build",
        {},
        True,
    ),
    ("pipeline", "codebuild:StartBuild", f"arn:aws:codebuild:{REGION}:{SHARED}:project/other", {}, False),
    ("pipeline", "s3:GetObject", f"{SOURCE}/other-repository/main.zip", {}, False),
    ("pipeline", "s3:GetObject", f"{SOURCE}/{NAME}/feature.zip", {}, False),
    ("pipeline", "s3:PutObject", f"{SOURCE}/{NAME}/main.zip", {}, False),
    ("pipeline", "s3:PutObject", f"{OURS}/models/run/model.tar.gz", {}, False),
    ("pipeline", "s3:GetObject", f"{OURS}/data/emails.csv", {}, False),
    ("pipeline", "s3:DeleteObject", f"{OURS}/{NAME}/source/abc123", {}, False),
    ("pipeline", "kms:Encrypt", "foundation key", {}, False),
    ("pipeline", "iam:PassRole", f"{ROLE}sagemaker", TO_SAGEMAKER, False),
    ("pipeline", "sagemaker:StartPipelineExecution", f"{SAGEMAKER}:pipeline/{NAME}", {}, False),
    # CodeBuild: uploads inputs, keeps this SageMaker pipeline and starts it
    ("build", "s3:GetObject", f"{OURS}/{NAME}/source/abc123", {}, True),
    ("build", "s3:PutObject", f"{OURS}/code/0123/train.py", {}, True),
    ("build", "s3:PutObject", f"{OURS}/data/0123/emails.csv", {}, True),
    ("build", "s3:PutObject", f"{OURS}/base-models/0123/model.safetensors", {}, True),
    ("build", "s3:PutObject", f"{OURS}/config/0123/model.yaml", {}, True),
    ("build", "s3:ListBucket", OURS, {}, True),
    ("build", "kms:GenerateDataKey", "key", {}, True),
    ("build", "kms:DescribeKey", "key", {}, True),
    ("build", "logs:PutLogEvents", f"{LOGS}/aws/codebuild/{NAME}-build:log-stream:1", {}, True),
    *[
        ("build", f"sagemaker:{action}", f"{SAGEMAKER}:pipeline/{NAME}", {}, True)
        for action in (
            "AddTags",
            "CreatePipeline",
            "DescribePipeline",
            "StartPipelineExecution",
            "UpdatePipeline",
        )
    ],
    ("build", "sagemaker:ListModelPackages", f"{SAGEMAKER}:model-package-group/{NAME}", {}, True),
    ("build", "sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/{NAME}/1", {}, True),
    ("build", "sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/other/1", {}, False),
    ("build", "iam:PassRole", f"{ROLE}sagemaker", TO_SAGEMAKER, True),
    ("build", "iam:PassRole", f"{ROLE}sagemaker", {"iam:PassedToService": "lambda.amazonaws.com"}, False),
    ("build", "iam:PassRole", f"{ROLE}build", TO_SAGEMAKER, False),
    ("build", "iam:CreateRole", f"{ROLE}sagemaker", {}, False),
    ("build", "sts:AssumeRole", f"arn:aws:iam::{PRODUCTION}:role/mlops-deployment", {}, False),
    ("build", "s3:PutObject", f"{OURS}/models/run/model.tar.gz", {}, False),
    ("build", "s3:DeleteObject", f"{OURS}/data/0123/emails.csv", {}, False),
    ("build", "s3:PutObject", f"{SOURCE}/{NAME}/main.zip", {}, False),
    ("build", "s3:GetObject", "arn:aws:s3:::customers/emails.csv", {}, False),
    ("build", "kms:Decrypt", "foundation key", {}, False),
    ("build", "kms:ScheduleKeyDeletion", "key", {}, False),
    ("build", "logs:PutLogEvents", f"{LOGS}/aws/codebuild/other-build:log-stream:1", {}, False),
    ("build", "sagemaker:StartPipelineExecution", f"{SAGEMAKER}:pipeline/other", {}, False),
    ("build", "sagemaker:DeletePipeline", f"{SAGEMAKER}:pipeline/{NAME}", {}, False),
    ("build", "sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/pipelines-1", {}, False),
    ("build", "sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/1", APPROVED, False),
    # EventBridge: starts this pipeline
    (
        "events",
        "codepipeline:StartPipelineExecution",
        f"arn:aws:codepipeline:{REGION}:{SHARED}:{NAME}",
        {},
        True,
    ),
    (
        "events",
        "codepipeline:StartPipelineExecution",
        f"arn:aws:codepipeline:{REGION}:{SHARED}:other",
        {},
        False,
    ),
    (
        "events",
        "codebuild:StartBuild",
        f"arn:aws:codebuild:{REGION}:{SHARED}:project/{NAME}-build",
        {},
        False,
    ),
    # SageMaker: runs jobs as itself, reads its inputs, writes its outputs, registers, and never approves
    ("sagemaker", "s3:GetObject", f"{OURS}/data/0123/emails.csv", {}, True),
    ("sagemaker", "s3:GetObject", f"{OURS}/code/0123/train.py", {}, True),
    ("sagemaker", "s3:PutObject", f"{OURS}/models/run/model.tar.gz", {}, True),
    ("sagemaker", "s3:PutObject", f"{OURS}/runs/abc/evaluate/evaluation.json", {}, True),
    ("sagemaker", "s3:DeleteObject", f"{OURS}/checkpoints/0123/checkpoint-10/model.safetensors", {}, True),
    ("sagemaker", "s3:ListBucket", OURS, {}, True),
    ("sagemaker", "kms:GenerateDataKey", "key", {}, True),
    ("sagemaker", "kms:CreateGrant", "key", {"kms:GrantIsForAWSResource": "true"}, True),
    ("sagemaker", "sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/pipelines-abc-Train-x", {}, True),
    (
        "sagemaker",
        "sagemaker:CreateProcessingJob",
        f"{SAGEMAKER}:processing-job/pipelines-abc-Ev-x",
        {},
        True,
    ),
    ("sagemaker", "iam:PassRole", f"{ROLE}sagemaker", TO_SAGEMAKER, True),
    ("sagemaker", "sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package-group/{NAME}", PENDING, True),
    ("sagemaker", "sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/1", PENDING, True),
    ("sagemaker", "ecr:GetAuthorizationToken", "*", {}, True),
    ("sagemaker", "ecr:BatchGetImage", f"{DLC}/huggingface-pytorch-training", {}, True),
    ("sagemaker", "ecr:BatchGetImage", f"{DLC}/huggingface-pytorch-inference", {}, True),
    ("sagemaker", "logs:PutLogEvents", f"{LOGS}/aws/sagemaker/TrainingJobs:log-stream:job/algo-1", {}, True),
    (
        "sagemaker",
        "cloudwatch:PutMetricData",
        "*",
        {"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"},
        True,
    ),
    ("sagemaker", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/Billing"}, False),
    ("sagemaker", "s3:PutObject", f"{OURS}/code/0123/train.py", {}, False),
    ("sagemaker", "s3:PutObject", f"{OURS}/{NAME}/source/abc123", {}, False),
    ("sagemaker", "s3:GetObject", f"{OURS}/{NAME}/source/abc123", {}, False),
    ("sagemaker", "s3:GetObject", f"{SOURCE}/{NAME}/main.zip", {}, False),
    ("sagemaker", "s3:PutBucketPolicy", OURS, {}, False),
    ("sagemaker", "kms:CreateGrant", "key", {"kms:GrantIsForAWSResource": "false"}, False),
    ("sagemaker", "kms:PutKeyPolicy", "key", {}, False),
    ("sagemaker", "kms:Decrypt", "foundation key", {}, False),
    ("sagemaker", "iam:PassRole", f"{ROLE}sagemaker", {"iam:PassedToService": "lambda.amazonaws.com"}, False),
    ("sagemaker", "iam:PassRole", f"{ROLE}build", TO_SAGEMAKER, False),
    ("sagemaker", "sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/1", APPROVED, False),
    ("sagemaker", "sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/1", APPROVED, False),
    ("sagemaker", "sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package-group/other", PENDING, False),
    ("sagemaker", "sagemaker:DeleteModelPackage", f"{SAGEMAKER}:model-package/{NAME}/1", {}, False),
    ("sagemaker", "sagemaker:CreateTrainingJob", f"{SAGEMAKER}:training-job/somebody-elses", {}, False),
    ("sagemaker", "sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/{NAME}", {}, False),
    ("sagemaker", "ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:{SHARED}:repository/private", {}, False),
    (
        "sagemaker",
        "ec2:CreateNetworkInterface",
        f"arn:aws:ec2:{REGION}:{SHARED}:network-interface/*",
        {},
        False,
    ),
]

# Principals of the production account whose own policies allow everything: what do ours let them do?
SERVING, DEPLOYMENT = "mlops/service/email-router", "mlops-deployment"
PRODUCTION_CASES: list[Case] = [
    (SERVING, "s3:GetObject", f"{OURS}/models/run/model.tar.gz", {}, True),
    (DEPLOYMENT, "s3:GetObject", f"{OURS}/models/run/model.tar.gz", {}, True),
    (SERVING, "s3:ListBucket", OURS, {"s3:prefix": "models/run"}, True),
    (SERVING, "kms:Decrypt", "key", BY_S3, True),
    (DEPLOYMENT, "kms:DescribeKey", "key", {}, True),
    (DEPLOYMENT, "sagemaker:DescribeModelPackageGroup", f"{SAGEMAKER}:model-package-group/{NAME}", {}, True),
    (DEPLOYMENT, "sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/{NAME}/7", {}, True),
    (DEPLOYMENT, "sagemaker:ListModelPackages", f"{SAGEMAKER}:model-package/{NAME}/7", {}, True),
    (DEPLOYMENT, "sagemaker:CreateModel", f"{SAGEMAKER}:model-package/{NAME}/7", {}, True),
    ("somebody", "s3:GetObject", f"{OURS}/models/run/model.tar.gz", {}, False),
    ("somebody", "kms:Decrypt", "key", BY_S3, False),
    ("somebody", "sagemaker:CreateModel", f"{SAGEMAKER}:model-package/{NAME}/7", {}, False),
    (SERVING, "s3:GetObject", f"{OURS}/data/0123/emails.csv", {}, False),
    (SERVING, "s3:GetObject", f"{OURS}/runs/abc/preprocess/train/part.csv", {}, False),
    (SERVING, "s3:PutObject", f"{OURS}/models/run/model.tar.gz", {}, False),
    (SERVING, "s3:ListBucket", OURS, {"s3:prefix": "data/"}, False),
    (SERVING, "s3:GetObject", f"{OURS}/models/run/model.tar.gz", {"aws:SecureTransport": "false"}, False),
    (SERVING, "kms:Decrypt", "key", {}, False),
    (SERVING, "kms:GenerateDataKey", "key", BY_S3, False),
    (DEPLOYMENT, "sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/7", APPROVED, False),
    (DEPLOYMENT, "sagemaker:DeleteModelPackage", f"{SAGEMAKER}:model-package/{NAME}/7", {}, False),
]


class Policies:
    """The policies in the sandbox, and requests against them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = {
            "foundation key": world.foundation.kms_key_arn,
            "key": world.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["Arn"],
        }

    def identity(self, role: str) -> list[Policy]:
        """The inline policies of a role; there are no others."""
        iam, name = self.world.client("iam"), f"{NAME}-{role}"
        return [
            parse(json.dumps(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]))
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        ]

    def of_resource(self, resource: str) -> list[Policy]:
        """The policy of the bucket, key or model package group that a resource belongs to."""
        service = resource.split(":")[2] if resource.startswith("arn:") else ""
        if service == "kms":
            return [parse(self.world.client("kms").get_key_policy(KeyId=resource)["Policy"])]
        if service == "s3" and resource.startswith(OURS):
            return [parse(self.world.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])]
        if resource.startswith(
            (f"{SAGEMAKER}:model-package-group/{NAME}", f"{SAGEMAKER}:model-package/{NAME}/")
        ):
            client = self.world.client("sagemaker")
            answer = client.get_model_package_group_policy(ModelPackageGroupName=NAME)
            return [parse(answer["ResourcePolicy"])]
        return []

    def allow(
        self, principal: Principal, identity: list[Policy], action: str, resource: str, given: dict[str, str]
    ) -> bool:
        """Whether this request would be allowed."""
        resource = self.keys.get(resource, resource)
        context = context_of({"aws:SecureTransport": "true", "aws:PrincipalArn": principal.role, **given})
        delegated = ":kms:" in resource
        request = Request(principal, action, resource, context, SHARED, delegated)
        return evaluate(request, identity, None, self.of_resource(resource)).allowed


def session(account: str, role: str) -> Principal:
    name = role.rsplit("/", 1)[-1]
    return Principal(
        f"arn:aws:sts::{account}:assumed-role/{name}/session", account, f"arn:aws:iam::{account}:role/{role}"
    )


@pytest.fixture(scope="module")
def policies(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Policies]:
    """The delivery's policies, made by Terraform in two accounts."""
    repository = generate(tmp_path_factory.mktemp("access"))
    with applied(repository, tmp_path_factory.mktemp("sandbox"), targets=TARGETS) as world:
        yield Policies(world)


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_a_role_may_do_what_it_has_to_and_nothing_beside_it(policies: Policies, case: Case) -> None:
    role, action, resource, given, allowed = case
    principal = session(SHARED, f"{NAME}-{role}")
    assert policies.allow(principal, policies.identity(role), action, resource, given) is allowed


@pytest.mark.parametrize("case", PRODUCTION_CASES, ids=case_name)
def test_production_reads_models_and_nothing_beside_them(policies: Policies, case: Case) -> None:
    role, action, resource, given, allowed = case
    everything = parse('{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}')
    assert policies.allow(session(PRODUCTION, role), [everything], action, resource, given) is allowed


PEOPLE_CASES: list[tuple[str, str, dict[str, str], bool]] = [
    ("sagemaker:ListModelPackages", f"{SAGEMAKER}:model-package-group/{NAME}", {}, True),
    ("sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/{NAME}/3", {}, True),
    ("sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/3", APPROVED, True),
    ("sagemaker:UpdateModelPackage", f"{SAGEMAKER}:model-package/other/3", APPROVED, False),
    ("sagemaker:DescribePipelineExecution", f"{SAGEMAKER}:pipeline/{NAME}/execution/x1", {}, True),
    ("sagemaker:DescribeTrainingJob", f"{SAGEMAKER}:training-job/pipelines-x1-Train-a", {}, True),
    ("sagemaker:StartPipelineExecution", f"{SAGEMAKER}:pipeline/{NAME}", {}, False),
    ("sagemaker:CreateModelPackage", f"{SAGEMAKER}:model-package/{NAME}/4", {}, False),
    ("sagemaker:DeleteModelPackage", f"{SAGEMAKER}:model-package/{NAME}/3", {}, False),
    ("s3:GetObject", f"{OURS}/runs/x1/evaluate/evaluation/report.html", {}, True),
    ("s3:GetObject", f"{OURS}/runs/x1/preprocess/report/data_report.json", {}, True),
    ("s3:GetObject", f"{OURS}/runs/x1/preprocess/train/data.parquet", {}, False),
    ("s3:GetObject", f"{OURS}/data/0123/emails.csv", {}, False),
    ("s3:PutObject", f"{OURS}/runs/x1/evaluate/evaluation/report.html", {}, False),
    ("kms:Decrypt", "key", BY_S3, True),
    ("kms:Decrypt", "key", {}, False),
]


@pytest.mark.parametrize("case", PEOPLE_CASES, ids=lambda case: f"{case[0]}-{case[1].rsplit(':', 1)[-1]}")
def test_people_who_decide_see_versions_and_reports_and_no_data(
    policies: Policies, case: tuple[str, str, dict[str, str], bool]
) -> None:
    action, resource, given, allowed = case
    iam = policies.world.client("iam")
    arn = f"arn:aws:iam::{SHARED}:policy/{NAME}-decide"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    identity = [parse(json.dumps(document))]
    assert policies.allow(session(SHARED, "ann"), identity, action, resource, given) is allowed


def test_no_allowing_statement_of_a_role_has_a_wildcard_for_its_actions(policies: Policies) -> None:
    for role in ("pipeline", "build", "events", "sagemaker"):
        for policy in policies.identity(role):
            for statement in policy:
                assert statement.actions and not any("*" in action for action in statement.actions)


def test_data_elsewhere_and_a_vpc_in_the_yaml_are_let_in_and_nothing_else_is(policies: Policies) -> None:
    model, project = (policies.world.repository / f"config/{name}.yaml" for name in ("model", "project"))
    before = {path: path.read_text(encoding="utf-8") for path in (model, project)}
    model.write_text(
        before[model].replace("source: data/emails.csv", "source: s3://customers/emails/"), encoding="utf-8"
    )
    edit_yaml(project, network={"subnets": ["subnet-0a"], "security_group_ids": ["sg-0b"]})
    policies.world.terraform.apply(*(f"-target={target}" for target in TARGETS))
    try:
        identity, principal = policies.identity("sagemaker"), session(SHARED, f"{NAME}-sagemaker")
        ec2 = f"arn:aws:ec2:{REGION}:{SHARED}"
        other_key = f"arn:aws:kms:{REGION}:{SHARED}:key/of-that-bucket"
        inside = {**BY_S3, "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::customers"}
        outside = {**BY_S3, "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::salaries"}
        for action, resource, given, allowed in [
            ("s3:GetObject", "arn:aws:s3:::customers/emails/1.csv", {}, True),
            ("s3:ListBucket", "arn:aws:s3:::customers", {}, True),
            ("s3:GetObject", "arn:aws:s3:::customers/salaries.csv", {}, False),
            ("s3:PutObject", "arn:aws:s3:::customers/emails/1.csv", {}, False),
            ("ec2:CreateNetworkInterface", f"{ec2}:subnet/subnet-0a", {}, True),
            ("ec2:CreateNetworkInterface", f"{ec2}:security-group/sg-0b", {}, True),
            ("ec2:CreateNetworkInterface", f"{ec2}:subnet/subnet-0f", {}, False),
            ("ec2:DeleteNetworkInterface", f"{ec2}:network-interface/eni-1", {}, False),
            (
                "ec2:DeleteNetworkInterface",
                f"{ec2}:network-interface/eni-1",
                {"ec2:Subnet": f"{ec2}:subnet/subnet-0a"},
                True,
            ),
        ]:
            assert policies.allow(principal, identity, action, resource, given) is allowed, (action, resource)
        for given, allowed in [(inside, True), (outside, False)]:
            # the key's own policy, in its account, is taken to delegate to IAM
            request = Request(principal, "kms:Decrypt", other_key, context_of(given))
            assert evaluate(request, identity, None, []).allowed is allowed
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")
