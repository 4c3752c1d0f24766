"""What a deployment to an environment may do and may not, and the same for the roles that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.foundation.deployment_environment import SUFFIX, Environment
from tests.foundation.terraform_roots import REGION, SHARED


class Case(NamedTuple):
    """A request, and whether it is allowed."""

    action: str
    resource: str
    allowed: bool
    conditions: Mapping[str, str | bool] = {}


def of_deployments(here: Environment) -> list[Case]:
    """Requests of an environment's deployment role."""
    return [
        *_models(here),
        *_images(here),
        *_named_for_the_environment(here),
        *_data(here),
        *_roles(here),
        *_limits(here),
    ]


def _models(here: Environment) -> list[Case]:
    """Endpoints have any name, and so has what belongs to them."""
    arn, package = here.arn, f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package/router/3"
    group = f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package-group/router"
    target = arn("application-autoscaling", "scalable-target/0a1b")
    log = arn("logs", "log-group:/aws/sagemaker/Endpoints/router")
    approve: Mapping[str, str | bool] = {"sagemaker:ModelApprovalStatus": "Approved"}
    return [
        Case("sagemaker:CreateModel", arn("sagemaker", "model/router"), True),
        Case("sagemaker:CreateEndpointConfig", arn("sagemaker", "endpoint-config/router"), True),
        Case("sagemaker:CreateEndpoint", arn("sagemaker", "endpoint/router"), True),
        Case("sagemaker:UpdateEndpoint", arn("sagemaker", "endpoint/router"), True),
        Case("sagemaker:UpdateEndpointWeightsAndCapacities", arn("sagemaker", "endpoint/router"), True),
        Case("sagemaker:AddTags", arn("sagemaker", "endpoint/router"), True),
        Case("sagemaker:InvokeEndpoint", arn("sagemaker", "endpoint/router"), True),
        Case("sagemaker:CreateTrainingJob", arn("sagemaker", "training-job/router"), False),
        Case("sagemaker:DescribeModelPackage", package, True),
        Case("sagemaker:CreateModel", package, True),
        Case("sagemaker:ListModelPackages", group, True),
        Case("sagemaker:UpdateModelPackage", package, False, approve),
        Case("sagemaker:CreateModelPackage", package, False),
        Case("sagemaker:DeleteModelPackage", package, False),
        Case("sagemaker:DeleteModelPackageGroup", group, False),
        Case("sagemaker:PutModelPackageGroupPolicy", group, False),
        Case("sagemaker:AddTags", group, False),
        Case("application-autoscaling:RegisterScalableTarget", target, True),
        Case("application-autoscaling:PutScheduledAction", target, True),
        Case("application-autoscaling:DeleteScheduledAction", target, True),
        Case(
            "application-autoscaling:PutScalingPolicy",
            target,
            False,
            {"application-autoscaling:service-namespace": "ecs"},
        ),
        Case("logs:CreateLogGroup", log, True),
        Case("logs:AssociateKmsKey", f"{log}:*", True),
        Case("logs:PutRetentionPolicy", log, True),
        Case("logs:PutSubscriptionFilter", log, True),
        Case("logs:PutSubscriptionFilter", arn("logs", "log-group:/aws/codebuild/router-build"), False),
        Case("logs:DeleteLogGroup", arn("logs", "log-group:/aws/codebuild/router-build"), False),
        Case("cloudwatch:PutMetricAlarm", arn("cloudwatch", "alarm:router-errors"), True),
        Case("cloudwatch:PutMetricData", "*", True, {"cloudwatch:namespace": "MLOps/Deployments"}),
        Case("cloudwatch:PutMetricData", "*", False, {"cloudwatch:namespace": "AWS/SageMaker"}),
    ]


def _images(here: Environment) -> list[Case]:
    """What a model is served with is copied to another account than the registry's, and stays as it is."""
    repository = "repository/router-serving"
    own, registry = here.arn("ecr", repository), f"arn:aws:ecr:{REGION}:{SHARED}:{repository}"
    elsewhere = here.account != SHARED
    return [
        *(
            Case(f"ecr:{action}", own, elsewhere)
            for action in ("CreateRepository", "PutImage", "DescribeImages")
        ),
        Case("ecr:GetDownloadUrlForLayer", registry, elsewhere),
        Case("ecr:PutImage", here.arn("ecr", "repository/another"), False),
        Case("ecr:PutImage", registry, False),
        Case("ecr:BatchDeleteImage", own, False),
        Case("ecr:DeleteRepository", own, False),
        Case("ecr:SetRepositoryPolicy", own, False),
    ]


def _named_for_the_environment(here: Environment) -> list[Case]:
    """What else a deployment makes says the environment in its name."""
    other, arn = here.other, here.arn
    function, rule = arn("lambda", f"function:router-{here.name}"), arn("events", f"rule/router-{here.name}")
    dashboard = f"arn:aws:cloudwatch::{here.account}:dashboard/router"
    queue, execution = (
        arn("sqs", f"router-undelivered-{here.name}"),
        f"pipeline/router-{here.name}/execution/0a",
    )
    return [
        Case("cloudwatch:PutDashboard", f"{dashboard}-{here.name}", True),
        Case("cloudwatch:DeleteDashboards", f"{dashboard}-{here.name}", True),
        Case("cloudwatch:PutDashboard", f"{dashboard}-{other.name}", False),
        Case("cloudwatch:DeleteDashboards", dashboard, False),
        Case("lambda:CreateFunction", function, True),
        Case("lambda:InvokeFunction", f"{function}:live", True),
        Case("lambda:UpdateFunctionCode", arn("lambda", "function:another"), False),
        Case("lambda:UpdateFunctionCode", arn("lambda", f"function:router-{other.name}"), False),
        Case("lambda:UpdateFunctionCode", arn("lambda", "function:mlops-bitbucket-fetch"), False),
        Case("logs:CreateLogGroup", arn("logs", f"log-group:/aws/lambda/router-{here.name}"), True),
        Case("logs:PutRetentionPolicy", arn("logs", f"log-group:/aws/lambda/router-{here.name}:*"), True),
        Case("logs:DeleteLogGroup", arn("logs", "log-group:/aws/lambda/mlops-bitbucket-fetch"), False),
        Case("events:PutRule", rule, True),
        Case("events:PutTargets", rule, True),
        Case("events:DeleteRule", arn("events", "rule/router-source"), False),
        Case("sagemaker:CreatePipeline", arn("sagemaker", f"pipeline/router-{here.name}"), True),
        Case("sagemaker:UpdatePipeline", arn("sagemaker", "pipeline/router"), False),
        Case("sagemaker:StartPipelineExecution", arn("sagemaker", "pipeline/router"), False),
        Case("sagemaker:ListPipelineExecutions", arn("sagemaker", f"pipeline/router-{here.name}"), True),
        Case("sagemaker:ListPipelineExecutionSteps", arn("sagemaker", execution), True),
        Case("sagemaker:ListPipelineExecutions", arn("sagemaker", "pipeline/router"), False),
        Case("sqs:CreateQueue", queue, True),
        Case("sqs:SetQueueAttributes", queue, True),
        Case("sqs:TagQueue", queue, True),
        Case("sqs:ListQueueTags", queue, True),
        Case("sqs:DeleteQueue", queue, True),
        Case("sqs:ReceiveMessage", queue, False),
        Case("sqs:PurgeQueue", queue, False),
        Case("sqs:DeleteQueue", arn("sqs", f"router-undelivered-{other.name}"), False),
        Case("sqs:SetQueueAttributes", arn("sqs", "router-undelivered-events"), False),
        Case("sqs:SetQueueAttributes", arn("sqs", "mlops-bitbucket"), False),
    ]


def _data(here: Environment) -> list[Case]:
    other = here.other
    states = here.state().partition("/")[0]
    topic = "mlops-notifications" + ("-production" if here.name == "production" else "")
    parameter = here.arn("ssm", f"parameter/mlops/foundation-{here.name}")
    return [
        Case("s3:CreateBucket", here.bucket(), True),
        Case("s3:PutBucketNotification", here.bucket(), True),
        Case("s3:PutLifecycleConfiguration", here.bucket(), True),
        Case("s3:PutObject", f"{here.bucket()}/input/mails.jsonl", True),
        Case("s3:PutBucketNotification", f"arn:aws:s3:::mlops-source-{SHARED}-{REGION}", False),
        Case("s3:CreateBucket", other.bucket(), False),
        Case("s3:GetObject", f"{other.bucket()}/output/mails.jsonl.out", False),
        Case("s3:CreateBucket", "arn:aws:s3:::another-teams-data", False),
        Case("s3:PutObject", f"arn:aws:s3:::mlops-router-{SHARED}-{REGION}/models/x/model.tar.gz", False),
        Case("s3:GetObject", f"arn:aws:s3:::mlops-router-{SHARED}-{REGION}/data/mails.csv", False),
        Case("s3:DeleteBucket", f"arn:aws:s3:::mlops-router-{SHARED}-{REGION}", False),
        Case("s3:PutObject", f"arn:aws:s3:::mlops-source-{SHARED}-{REGION}/router/main.zip", False),
        Case("s3:GetObject", here.state(), True),
        Case("s3:PutObject", here.state(), True),
        Case("s3:PutObject", f"{here.state()}.tflock", True),
        Case("s3:DeleteObject", f"{here.state()}.tflock", True),
        Case("s3:ListBucket", states, True),
        Case("s3:GetObject", other.state(), False),
        Case("s3:PutObject", other.state(), False),
        Case("s3:DeleteObject", f"{other.state()}.tflock", False),
        Case("s3:GetObject", f"{states}/deployment/router/terraform.tfstate", False),
        Case("s3:GetObject", f"{states}/delivery/router.tfstate", False),
        Case("s3:GetObject", f"{states}/foundation/{here.name}.tfstate", False),
        Case("s3:PutObject", f"{states}/foundation/{here.name}.tfstate", False),
        Case("s3:DeleteBucket", states, False),
        Case("s3:PutBucketPolicy", states, False),
        Case("ssm:GetParameter", parameter, True),
        Case("ssm:PutParameter", parameter, False),
        Case("ssm:GetParameter", here.arn("ssm", f"parameter/mlops/foundation-{other.name}"), False),
        Case("secretsmanager:GetSecretValue", here.arn("secretsmanager", "secret:any-AbCdEf"), False),
        Case("sns:Publish", here.arn("sns", topic), True),
        Case("sns:DeleteTopic", here.arn("sns", topic), False),
        Case("kms:ScheduleKeyDeletion", here.arn("kms", "key/any"), False),
        Case(
            "kms:Decrypt", here.arn("kms", "key/any"), False, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
        ),
    ]


def _roles(here: Environment) -> list[Case]:
    role, theirs = here.service_role(), here.other.service_role()
    bounded: Mapping[str, str | bool] = {"iam:PermissionsBoundary": here.boundary}
    to_lambda: Mapping[str, str | bool] = {"iam:PassedToService": "lambda.amazonaws.com"}
    to_sagemaker: Mapping[str, str | bool] = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    linked = f"arn:aws:iam::{here.account}:role/aws-service-role"
    scaling = "sagemaker.application-autoscaling.amazonaws.com"
    return [
        Case("iam:CreateRole", role, True, bounded),
        Case("iam:PutRolePolicy", role, True, bounded),
        Case("iam:TagRole", role, True),
        Case("iam:DeleteRole", role, True),
        # a role that is gone has no path any more
        Case("iam:GetRole", f"arn:aws:iam::{here.account}:role/gone", True),
        Case("iam:GetRolePolicy", f"arn:aws:iam::{here.account}:role/gone", True),
        Case("iam:DeleteRole", f"arn:aws:iam::{here.account}:role/gone", False),
        Case("iam:CreateRole", role, False),
        Case("iam:CreateRole", role, False, {"iam:PermissionsBoundary": here.other.boundary}),
        Case("iam:CreateRole", f"arn:aws:iam::{here.account}:role/admin", False, bounded),
        Case("iam:CreateRole", here.build_role(), False, bounded),
        Case("iam:DeleteRolePermissionsBoundary", role, False),
        Case("iam:PassRole", role, True, to_lambda),
        Case("iam:PassRole", role, True, to_sagemaker),
        Case("iam:PassRole", role, False, {"iam:PassedToService": "ec2.amazonaws.com"}),
        Case("iam:CreateRole", theirs, False, bounded),
        Case("iam:PutRolePolicy", theirs, False, bounded),
        Case("iam:UpdateAssumeRolePolicy", theirs, False),
        Case("iam:DeleteRole", theirs, False),
        Case("iam:PassRole", theirs, False, to_sagemaker),
        Case("iam:CreateServiceLinkedRole", f"{linked}/{scaling}/X", True, {"iam:AWSServiceName": scaling}),
        Case(
            "iam:CreateServiceLinkedRole", f"{linked}/x/X", False, {"iam:AWSServiceName": "x.amazonaws.com"}
        ),
        *(
            Case(action, arn, False, bounded)
            for arn in (here.role, here.other.role, here.build_role(), here.other.build_role())
            for action in (
                "iam:PutRolePolicy",
                "iam:UpdateAssumeRolePolicy",
                "iam:PassRole",
                "sts:AssumeRole",
            )
        ),
        Case("iam:CreatePolicyVersion", here.boundary, False),
        Case("iam:CreatePolicyVersion", here.other.boundary, False),
        Case("iam:CreateUser", f"arn:aws:iam::{here.account}:user/x", False),
        Case("sts:AssumeRole", f"arn:aws:iam::{here.account}:role/admin", False),
    ]


def _limits(here: Environment) -> list[Case]:
    """A tag says whose something is where the name does not."""
    theirs: Mapping[str, str | bool] = {"aws:ResourceTag/environment": here.other.name}
    ours: Mapping[str, str | bool] = {"aws:ResourceTag/environment": here.name}
    taggable = [
        ("sagemaker:UpdateEndpoint", here.arn("sagemaker", "endpoint/router")),
        ("sagemaker:DeleteTags", here.arn("sagemaker", "endpoint/router")),
        ("sagemaker:InvokeEndpoint", here.arn("sagemaker", "endpoint/router")),
        ("cloudwatch:DeleteAlarms", here.arn("cloudwatch", "alarm:router-errors")),
        ("logs:DeleteLogGroup", here.arn("logs", "log-group:/aws/sagemaker/Endpoints/router")),
        (
            "application-autoscaling:DeregisterScalableTarget",
            here.arn("application-autoscaling", "scalable-target/0a1b"),
        ),
    ]
    return [
        *(Case(action, arn, True, ours) for action, arn in taggable),
        *(Case(action, arn, False, theirs) for action, arn in taggable),
        Case("cloudwatch:DeleteAlarms", here.arn("cloudwatch", "alarm:mlops-bitbucket-dead-letters"), False),
    ]


def of_service_roles(here: Environment) -> list[Case]:
    """Requests of a role that a deployment has made and given every permission: its boundary remains."""
    arn, models = here.arn, f"arn:aws:s3:::mlops-router-{SHARED}-{REGION}/models/x/model.tar.gz"
    states = here.state().partition("/")[0]
    to_sagemaker: Mapping[str, str | bool] = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    return [
        Case("s3:GetObject", models, True),
        Case("s3:ListBucket", f"arn:aws:s3:::mlops-router-{SHARED}-{REGION}", True),
        Case("kms:Decrypt", arn("kms", "key/any"), True),
        Case("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:763104351884:repository/huggingface", True),
        Case("ecr:GetAuthorizationToken", "*", True),
        Case(
            "logs:PutLogEvents", arn("logs", "log-group:/aws/sagemaker/Endpoints/router:log-stream:a"), True
        ),
        Case("cloudwatch:PutMetricData", "*", True),
        Case("cloudwatch:GetMetricData", "*", True),
        Case("logs:PutLogEvents", arn("logs", "log-group:/aws/sagemaker/ProcessingJobs:log-stream:a"), True),
        Case("logs:CreateLogGroup", arn("logs", "log-group:/aws/sagemaker/TransformJobs"), True),
        Case("s3:PutObject", f"{here.bucket()}/output/mails.jsonl.out", True),
        Case("s3:AbortMultipartUpload", f"{here.bucket()}/work/1/source/data.csv", True),
        Case("s3:GetObjectVersion", f"{here.bucket()}/input/mails.jsonl", True),
        Case("s3:ListBucketVersions", here.bucket(), True),
        Case("sagemaker:CreateProcessingJob", arn("sagemaker", "processing-job/any"), True),
        Case("sagemaker:CreateModel", arn("sagemaker", "model/any"), True),
        Case("sagemaker:DeleteModel", arn("sagemaker", "model/any"), True),
        Case("lambda:InvokeFunction", arn("lambda", f"function:router-begin-{here.name}"), True),
        Case("sagemaker:CreateTransformJob", arn("sagemaker", "transform-job/any"), True),
        Case("sagemaker:StartPipelineExecution", arn("sagemaker", f"pipeline/router-{here.name}"), True),
        Case("secretsmanager:GetSecretValue", arn("secretsmanager", f"secret:crm-{here.name}-AbCdEf"), True),
        Case("iam:PassRole", here.service_role(), True, to_sagemaker),
        Case("s3:PutObject", models, False),
        Case("s3:DeleteObject", models, False),
        Case("s3:PutObject", f"{here.other.bucket()}/output/mails.jsonl.out", False),
        Case("s3:GetObjectVersion", f"{here.other.bucket()}/input/mails.jsonl", False),
        Case("s3:GetObject", f"arn:aws:s3:::mlops-router-{SHARED}-{REGION}/data/mails.csv", False),
        Case("s3:GetObject", f"arn:aws:s3:::mlops-source-{SHARED}-{REGION}/models/main.zip", False),
        Case("s3:GetObject", here.state(), False),
        Case("s3:ListBucket", states, False),
        Case("sagemaker:UpdateModelPackage", arn("sagemaker", "model-package/router/3"), False),
        Case("sagemaker:CreateModelPackage", arn("sagemaker", "model-package/router/3"), False),
        Case("sagemaker:StartPipelineExecution", arn("sagemaker", "pipeline/router"), False),
        Case("sagemaker:CreateTrainingJob", arn("sagemaker", "training-job/any"), False),
        Case("sagemaker:UpdateEndpoint", arn("sagemaker", "endpoint/router"), False),
        Case("lambda:UpdateFunctionCode", arn("lambda", f"function:router-{here.name}"), False),
        Case("lambda:InvokeFunction", arn("lambda", "function:another"), False),
        Case(
            "secretsmanager:GetSecretValue",
            arn("secretsmanager", "secret:mlops/bitbucket/token-AbCdEf"),
            False,
        ),
        Case("sqs:SendMessage", arn("sqs", "mlops-bitbucket"), False),
        Case("iam:PassRole", here.other.service_role(), False, to_sagemaker),
        Case("iam:CreateRole", here.service_role(), False),
        Case("sts:AssumeRole", here.role, False),
        Case("sts:AssumeRole", here.other.role, False),
        Case("kms:CreateGrant", arn("kms", "key/any"), False),
    ]


def admitted(here: Environment) -> list[tuple[str, str, bool]]:
    """Callers (ARN, account) of an environment's deployment role, and whether they are let in."""
    folder = here.build_role("").removesuffix("/")
    return [
        (here.build_role(), SHARED, True),
        (here.build_role("endpoint/any"), SHARED, True),
        (here.other.build_role(), SHARED, False),
        (here.other.role, here.other.account, False),
        (here.service_role(), here.account, False),
        (folder, SHARED, False),
        (f"arn:aws:iam::{SHARED}:role/router-build", SHARED, False),
        (f"arn:aws:iam::{SHARED}:role/other/mlops/deploy{SUFFIX[here.name]}/router", SHARED, False),
        (f"arn:aws:iam::{SHARED}:user/somebody", SHARED, False),
        (here.build_role().replace(SHARED, "333333333333"), "333333333333", False),
    ]
