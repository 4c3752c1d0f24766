"""Who may do what in an environment: role x action x resource, asked of the policies that Terraform has made.

The policies and the boundary are read back from IAM and evaluated as AWS documents it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.batch_inference.terraform_batch import SLUG, Environment, make_environment
from tests.foundation.terraform_roots import may
from tests.terraform_delivery import PRODUCTION, REGION, SHARED, Case, case_name
from tests.terraform_deployment import DEPLOYMENT_ROLES, GROUP, MODELS, open_registry

pytestmark = pytest.mark.slow

ROLES = ("begin", "drift", "events", "jobs", "publish")
ACCOUNTS = {"staging": SHARED, "production": PRODUCTION}
SERVICES = {
    "begin": "lambda.amazonaws.com",
    "drift": "lambda.amazonaws.com",
    "events": "events.amazonaws.com",
    "jobs": "sagemaker.amazonaws.com",
    "publish": "lambda.amazonaws.com",
}
BY_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
OF_MODELS = {**BY_S3, "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{MODELS}/models/run-1/model.tar.gz"}
OF_PROFILES = {
    **BY_S3,
    "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{MODELS}/models/run-1/output.tar.gz",
}
TO_SAGEMAKER = {"iam:PassedToService": "sagemaker.amazonaws.com"}


def cases(name: str) -> list[Case]:
    """Requests of the roles of an environment; the resource "key" is the environment's."""
    account, other = ACCOUNTS[name], "production" if name == "staging" else "staging"
    bucket = f"arn:aws:s3:::mlops-{SLUG}-{name}-{account}-{REGION}"
    theirs = f"arn:aws:s3:::mlops-{SLUG}-{other}-{ACCOUNTS[other]}-{REGION}"
    models = f"arn:aws:s3:::{MODELS}"
    sagemaker = f"arn:aws:sagemaker:{REGION}:{account}"
    registry = f"arn:aws:sagemaker:{REGION}:{SHARED}"
    version, group = f"{registry}:model-package/{GROUP}/3", f"{registry}:model-package-group/{GROUP}"
    function = f"arn:aws:lambda:{REGION}:{account}:function:{SLUG}"
    logs = f"arn:aws:logs:{REGION}:{account}:log-group"
    images = f"arn:aws:ecr:{REGION}:763104351884:repository"
    scikit = f"arn:aws:ecr:{REGION}:341280168497:repository/sagemaker-scikit-learn"
    path = "/mlops/service-staging/" if name == "staging" else "/mlops/service/"
    role = f"arn:aws:iam::{account}:role{path}{SLUG}-{name}"
    models_key = f"arn:aws:kms:{REGION}:{SHARED}:key/of-the-models"
    return [
        # EventBridge: starts this pipeline
        ("events", "sagemaker:StartPipelineExecution", f"{sagemaker}:pipeline/{SLUG}-{name}", {}, True),
        ("events", "sagemaker:StartPipelineExecution", f"{sagemaker}:pipeline/{SLUG}-{other}", {}, False),
        ("events", "sagemaker:StopPipelineExecution", f"{sagemaker}:pipeline/{SLUG}-{name}", {}, False),
        ("events", "s3:GetObject", f"{bucket}/input/a.csv", {}, False),
        ("events", "lambda:InvokeFunction", f"{function}-begin-{name}", {}, False),
        # begin: reads the file and the registry, writes the execution's folder
        ("begin", "s3:GetObject", f"{bucket}/input/2026/a.csv", {}, True),
        ("begin", "s3:GetObjectVersion", f"{bucket}/input/2026/a.csv", {}, True),
        ("begin", "s3:ListBucket", bucket, {}, True),
        ("begin", "s3:PutObject", f"{bucket}/work/1/source/data.csv", {}, True),
        ("begin", "s3:GetObject", f"{bucket}/work/1/request/request.json", {}, True),
        ("begin", "s3:AbortMultipartUpload", f"{bucket}/work/1/source/data.csv", {}, True),
        ("begin", "kms:Decrypt", "key", BY_S3, True),
        ("begin", "kms:GenerateDataKey", "key", BY_S3, True),
        ("begin", "sagemaker:ListModelPackages", group, {}, True),
        ("begin", "sagemaker:ListModelPackages", version, {}, True),
        ("begin", "logs:PutLogEvents", f"{logs}:/aws/lambda/{SLUG}-begin-{name}:log-stream:1", {}, True),
        ("begin", "kms:Decrypt", "key", {}, False),
        ("begin", "s3:PutObject", f"{bucket}/input/a.csv", {}, False),
        ("begin", "s3:DeleteObject", f"{bucket}/input/a.csv", {}, False),
        ("begin", "s3:GetObject", f"{bucket}/output/a.csv", {}, False),
        ("begin", "s3:PutObject", f"{bucket}/output/a.csv", {}, False),
        ("begin", "s3:GetObject", f"{theirs}/input/a.csv", {}, False),
        ("begin", "s3:GetObject", f"{models}/models/run-1/model.tar.gz", {}, False),
        ("begin", "sagemaker:ListModelPackages", f"{registry}:model-package-group/salaries", {}, False),
        ("begin", "sagemaker:UpdateModelPackage", version, {}, False),
        ("begin", "sagemaker:CreateModel", f"{sagemaker}:model/pipelines-1-CreateModel-x", {}, False),
        ("begin", "sagemaker:StartPipelineExecution", f"{sagemaker}:pipeline/{SLUG}-{name}", {}, False),
        ("begin", "logs:PutLogEvents", f"{logs}:/aws/lambda/{SLUG}-publish-{name}:log-stream:1", {}, False),
        ("begin", "logs:CreateLogGroup", f"{logs}:/aws/lambda/{SLUG}-begin-{name}", {}, False),
        # publish: reads the execution's folder, writes answers, deletes the pipeline's model
        ("publish", "s3:GetObject", f"{bucket}/work/1/result/answers.csv", {}, True),
        ("publish", "s3:GetObjectVersion", f"{bucket}/work/1/result/answers.csv", {}, True),
        ("publish", "s3:GetObject", f"{bucket}/output/2026/a.csv", {}, True),
        ("publish", "s3:PutObject", f"{bucket}/output/2026/a.csv", {}, True),
        ("publish", "s3:AbortMultipartUpload", f"{bucket}/output/2026/a.csv", {}, True),
        ("publish", "s3:ListBucket", bucket, {}, True),
        ("publish", "s3:ListBucketVersions", bucket, {"s3:prefix": "input/2026/a.csv"}, True),
        ("publish", "kms:GenerateDataKey", "key", BY_S3, True),
        ("publish", "sagemaker:DeleteModel", f"{sagemaker}:model/pipelines-1-CreateModel-x", {}, True),
        ("publish", "logs:PutLogEvents", f"{logs}:/aws/lambda/{SLUG}-publish-{name}:log-stream:1", {}, True),
        ("publish", "sagemaker:DeleteModel", f"{sagemaker}:model/{SLUG}-endpoint-v3", {}, False),
        ("publish", "s3:GetObject", f"{bucket}/input/a.csv", {}, False),
        ("publish", "s3:PutObject", f"{bucket}/input/a.csv", {}, False),
        ("publish", "s3:PutObject", f"{bucket}/work/1/request/request.json", {}, False),
        ("publish", "s3:DeleteObject", f"{bucket}/output/a.csv", {}, False),
        ("publish", "s3:ListBucketVersions", bucket, {}, False),
        ("publish", "s3:PutObject", f"{theirs}/output/a.csv", {}, False),
        ("publish", "sagemaker:ListModelPackages", group, {}, False),
        ("publish", "kms:Decrypt", "key", {}, False),
        # drift: reads metrics, the registry, and what training has left beside the models of the group
        ("drift", "cloudwatch:GetMetricData", "*", {}, True),
        ("drift", "sagemaker:ListModelPackages", group, {}, True),
        ("drift", "sagemaker:DescribeModelPackage", version, {}, True),
        ("drift", "s3:GetObject", f"{models}/models/run-7/output/output.tar.gz", {}, True),
        ("drift", "kms:Decrypt", models_key, OF_PROFILES, True),
        ("drift", "logs:PutLogEvents", f"{logs}:/aws/lambda/{SLUG}-drift-{name}:log-stream:1", {}, True),
        ("drift", "s3:GetObject", f"{models}/models/run-7/output/model.tar.gz", {}, False),
        ("drift", "s3:GetObject", f"{models}/runs/1/report/output.tar.gz", {}, False),
        ("drift", "s3:GetObject", f"{bucket}/output/a.csv", {}, False),
        ("drift", "kms:Decrypt", models_key, OF_MODELS, False),
        ("drift", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Watching"}, False),
        ("drift", "sagemaker:UpdateModelPackage", version, {}, False),
        ("drift", "sagemaker:DescribeModelPackage", f"{registry}:model-package/salaries/3", {}, False),
        # SageMaker: calls the functions, runs jobs as itself, reads models of the group, works in work/
        ("jobs", "lambda:InvokeFunction", f"{function}-begin-{name}", {}, True),
        ("jobs", "lambda:InvokeFunction", f"{function}-publish-{name}", {}, True),
        (
            "jobs",
            "sagemaker:CreateProcessingJob",
            f"{sagemaker}:processing-job/pipelines-1-Normalise-x",
            {},
            True,
        ),
        (
            "jobs",
            "sagemaker:StopProcessingJob",
            f"{sagemaker}:processing-job/pipelines-1-Normalise-x",
            {},
            True,
        ),
        (
            "jobs",
            "sagemaker:CreateTransformJob",
            f"{sagemaker}:transform-job/pipelines-1-Transform-x",
            {},
            True,
        ),
        (
            "jobs",
            "sagemaker:DescribeTransformJob",
            f"{sagemaker}:transform-job/pipelines-1-Transform-x",
            {},
            True,
        ),
        ("jobs", "sagemaker:AddTags", f"{sagemaker}:transform-job/pipelines-1-Transform-x", {}, True),
        ("jobs", "sagemaker:CreateModel", f"{sagemaker}:model/pipelines-1-CreateModel-x", {}, True),
        ("jobs", "sagemaker:AddTags", f"{sagemaker}:model/pipelines-1-CreateModel-x", {}, True),
        ("jobs", "sagemaker:CreateModel", version, {}, True),
        ("jobs", "sagemaker:DescribeModelPackage", version, {}, True),
        ("jobs", "iam:PassRole", f"{role}-jobs", TO_SAGEMAKER, True),
        ("jobs", "s3:GetObject", f"{bucket}/work/1/requests/part-00000.jsonl", {}, True),
        ("jobs", "s3:PutObject", f"{bucket}/work/1/answers/part-00000.jsonl.out", {}, True),
        ("jobs", "s3:ListBucket", bucket, {"s3:prefix": "work/1/requests/"}, True),
        ("jobs", "kms:GenerateDataKey", "key", {}, True),
        ("jobs", "kms:CreateGrant", "key", {"kms:GrantIsForAWSResource": "true"}, True),
        ("jobs", "s3:GetObject", f"{models}/models/run-7/model.tar.gz", {}, True),
        ("jobs", "s3:ListBucket", models, {"s3:prefix": "models/run-7/"}, True),
        ("jobs", "kms:Decrypt", models_key, OF_MODELS, True),
        ("jobs", "ecr:GetAuthorizationToken", "*", {}, True),
        (
            "jobs",
            "ecr:BatchGetImage",
            f"arn:aws:ecr:{REGION}:{SHARED}:repository/email-router-serving",
            {},
            True,
        ),
        ("jobs", "ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:{SHARED}:repository/other-serving", {}, False),
        ("jobs", "ecr:BatchGetImage", scikit, {}, True),
        ("jobs", "ecr:BatchGetImage", f"{images}/huggingface-pytorch-inference", {}, True),
        ("jobs", "logs:CreateLogGroup", f"{logs}:/aws/sagemaker/ProcessingJobs:*", {}, True),
        ("jobs", "logs:PutLogEvents", f"{logs}:/aws/sagemaker/TransformJobs:log-stream:1", {}, True),
        (
            "jobs",
            "cloudwatch:PutMetricData",
            "*",
            {"cloudwatch:namespace": "/aws/sagemaker/TransformJobs"},
            True,
        ),
        ("jobs", "s3:GetObject", f"{bucket}/input/a.csv", {}, False),
        ("jobs", "s3:GetObject", f"{bucket}/output/a.csv", {}, False),
        ("jobs", "s3:PutObject", f"{bucket}/output/a.csv", {}, False),
        ("jobs", "s3:ListBucket", bucket, {"s3:prefix": "input/"}, False),
        ("jobs", "s3:DeleteObject", f"{bucket}/work/1/source/data.csv", {}, False),
        ("jobs", "s3:GetObject", f"{theirs}/work/1/source/data.csv", {}, False),
        ("jobs", "s3:GetObject", f"{models}/data/0123/emails.csv", {}, False),
        ("jobs", "s3:PutObject", f"{models}/models/run-7/model.tar.gz", {}, False),
        ("jobs", "s3:GetObject", f"arn:aws:s3:::mlops-salaries-{SHARED}-{REGION}/models/x", {}, False),
        ("jobs", "kms:CreateGrant", "key", {}, False),
        ("jobs", "kms:Decrypt", models_key, {}, False),
        ("jobs", "kms:GenerateDataKey", models_key, OF_MODELS, False),
        ("jobs", "ecr:BatchGetImage", f"{images}/huggingface-pytorch-training", {}, False),
        ("jobs", "sagemaker:CreateTrainingJob", f"{sagemaker}:training-job/pipelines-1-Train-x", {}, False),
        ("jobs", "sagemaker:CreateTransformJob", f"{sagemaker}:transform-job/by-hand", {}, False),
        ("jobs", "sagemaker:CreateModel", f"{sagemaker}:model/{SLUG}-endpoint-v3", {}, False),
        ("jobs", "sagemaker:CreateModel", f"{registry}:model-package/salaries/3", {}, False),
        ("jobs", "sagemaker:DeleteModel", f"{sagemaker}:model/pipelines-1-CreateModel-x", {}, False),
        ("jobs", "sagemaker:UpdateModelPackage", version, {}, False),
        ("jobs", "sagemaker:StartPipelineExecution", f"{sagemaker}:pipeline/{SLUG}-{name}", {}, False),
        ("jobs", "lambda:InvokeFunction", f"{function}-begin-{other}", {}, False),
        ("jobs", "iam:PassRole", f"{role}-jobs", {"iam:PassedToService": "lambda.amazonaws.com"}, False),
        ("jobs", "iam:PassRole", f"{role}-begin", TO_SAGEMAKER, False),
        ("jobs", "logs:PutLogEvents", f"{logs}:/aws/sagemaker/TrainingJobs:log-stream:1", {}, False),
        ("jobs", "sts:AssumeRole", f"arn:aws:iam::{account}:role/{DEPLOYMENT_ROLES[name]}", {}, False),
    ]


@pytest.fixture(scope="module")
def environments(
    generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Environment]]:
    """Both environments, of which only the roles are applied."""
    folder = tmp_path_factory.mktemp("access")
    with open_registry(generate, tmp_path_factory) as registry:
        made = {name: make_environment(name, folder / name, registry) for name in ACCOUNTS}
        modules = ("jobs_role", "function_role", "events_role", "watching[0].module.role")

        def apply(environment: Environment) -> None:
            environment.record()
            environment.apply(*(f"-target=module.{module}" for module in modules))

        with ThreadPoolExecutor() as threads:
            list(threads.map(apply, made.values()))
        yield made


@pytest.fixture(scope="module")
def keys(environments: dict[str, Environment]) -> dict[str, str]:
    """The ARNs of the environments' keys."""
    aliases = {"staging": "alias/mlops", "production": "alias/mlops-production"}
    return {
        name: environment.client("kms").describe_key(KeyId=aliases[name])["KeyMetadata"]["Arn"]
        for name, environment in environments.items()
    }


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name in ACCOUNTS for case in cases(name)],
    ids=lambda value: value if isinstance(value, str) else case_name(value),
)
def test_a_role_may_do_what_it_has_to_and_nothing_beside_it(
    environments: dict[str, Environment], keys: dict[str, str], name: str, case: Case
) -> None:
    role, action, resource, conditions, allowed = case
    arn = environments[name].role(role)
    assert may(arn, action, keys[name] if resource == "key" else resource, conditions) is allowed


@pytest.mark.parametrize("name", ACCOUNTS)
def test_every_role_is_bounded_and_trusts_one_service(
    environments: dict[str, Environment], name: str
) -> None:
    iam = environments[name].client("iam")
    for role, service in SERVICES.items():
        described = iam.get_role(RoleName=f"{SLUG}-{name}-{role}")["Role"]
        assert described["Arn"] == environments[name].role(role)
        boundary = described["PermissionsBoundary"]["PermissionsBoundaryArn"]
        assert boundary.endswith(f":policy/mlops-{name}-boundary")
        (statement,) = described["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": service}
        # Lambda does not say for which account it asks
        condition = statement.get("Condition", {})
        assert condition.get("StringEquals") == (
            None if service == "lambda.amazonaws.com" else {"aws:SourceAccount": ACCOUNTS[name]}
        )


@pytest.mark.parametrize("name", ACCOUNTS)
def test_no_statement_of_a_role_has_a_wildcard_for_its_actions(
    environments: dict[str, Environment], name: str
) -> None:
    iam = environments[name].client("iam")
    for role in ROLES:
        full = f"{SLUG}-{name}-{role}"
        (policy,) = iam.list_role_policies(RoleName=full)["PolicyNames"]
        document = iam.get_role_policy(RoleName=full, PolicyName=policy)["PolicyDocument"]
        assert "*" not in json.dumps([statement["Action"] for statement in document["Statement"]])
