"""What every delivery that promotes from staging to production may and may not do, whatever it deploys."""

from __future__ import annotations

from tests.terraform_delivery import PRODUCTION, REGION, SHARED, SOURCE_BUCKET, Case

PATHS = {"staging": "mlops/deploy-staging/", "production": "mlops/deploy/"}
#: of the root; what the tables of access need of it
TARGETS = tuple(
    f"module.promotion.module.{module}" for module in ("build", "events.module.role", "key", "pipeline_role")
)
ROLES = {account: f"arn:aws:iam::{account}:role" for account in (SHARED, PRODUCTION)}
STAGING_ROLE = f"{ROLES[SHARED]}/mlops-deployment-staging"
PRODUCTION_ROLE = f"{ROLES[PRODUCTION]}/mlops-deployment"
SOURCE = f"arn:aws:s3:::{SOURCE_BUCKET}"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{SHARED}"
TOPIC = f"arn:aws:sns:{REGION}:{SHARED}:mlops-notifications"
APPROVED = {"sagemaker:ModelApprovalStatus": "Approved"}
BY_SNS = {"kms:ViaService": f"sns.{REGION}.amazonaws.com"}


def role_arn(name: str, role: str) -> str:
    """A role of the delivery of this name: pipeline, events, staging or production."""
    return f"{ROLES[SHARED]}/{PATHS.get(role, '')}{name}-{role}"


def common_cases(name: str, group: str) -> list[Case]:
    """Requests of the roles of a delivery of this name, whose models are in this group.

    A resource may be "key", the delivery's, or "foundation key", the foundation's.
    """
    ours = f"arn:aws:s3:::mlops-{name}-{SHARED}-{REGION}"
    models = f"arn:aws:s3:::mlops-{group}-{SHARED}-{REGION}"
    version = f"{SAGEMAKER}:model-package/{group}/3"
    pipeline = f"arn:aws:codepipeline:{REGION}:{SHARED}:{name}"
    project = f"arn:aws:codebuild:{REGION}:{SHARED}:project/{name}"
    logs = f"arn:aws:logs:{REGION}:{SHARED}:log-group:/aws/codebuild/{name}"
    return [
        # CodePipeline: this source, this folder for artifacts, these builds, this topic
        ("pipeline", "s3:GetObject", f"{SOURCE}/{name}/main.zip", {}, True),
        ("pipeline", "kms:Decrypt", "foundation key", {}, True),
        ("pipeline", "s3:PutObject", f"{ours}/{name[:20]}/source/abc123", {}, True),
        ("pipeline", "codebuild:StartBuild", f"{project}-staging", {}, True),
        ("pipeline", "codebuild:StartBuild", f"{project}-production", {}, True),
        ("pipeline", "sns:Publish", TOPIC, {}, True),
        ("pipeline", "kms:GenerateDataKey", "foundation key", BY_SNS, True),
        ("pipeline", "kms:GenerateDataKey", "foundation key", {}, False),
        ("pipeline", "sns:Publish", f"{TOPIC}-production", {}, False),
        ("pipeline", "s3:GetObject", f"{SOURCE}/{group}/main.zip", {}, False),
        ("pipeline", "s3:PutObject", f"{ours}/deployments/production/live.json", {}, False),
        ("pipeline", "s3:GetObject", f"{ours}/reports/1/staging.html", {}, False),
        ("pipeline", "codebuild:StartBuild", f"{project}-build", {}, False),
        ("pipeline", "sts:AssumeRole", STAGING_ROLE, {}, False),
        ("pipeline", "codepipeline:PutApprovalResult", f"{pipeline}/Production/Approve", {}, False),
        # staging's build: keeps records and reports, sees what else runs, becomes staging's deployment role
        ("staging", "s3:PutObject", f"{ours}/deployments/staging/live.json", {}, True),
        ("staging", "s3:PutObject", f"{ours}/deployments/production/proposed.json", {}, True),
        ("staging", "s3:GetObject", f"{ours}/deployments/production/live.json", {}, True),
        ("staging", "s3:DeleteObject", f"{ours}/deployments/staging/live.json", {}, True),
        ("staging", "s3:PutObject", f"{ours}/reports/1/staging.html", {}, True),
        ("staging", "s3:ListBucket", ours, {}, True),
        ("staging", "s3:GetObject", f"{ours}/{name[:20]}/source/abc123", {}, True),
        ("staging", "s3:PutObject", f"{ours}/{name[:20]}/staged/abc123", {}, True),
        ("staging", "kms:GenerateDataKey", "key", {}, True),
        ("staging", "codepipeline:GetPipelineExecution", pipeline, {}, True),
        ("staging", "codepipeline:ListPipelineExecutions", pipeline, {}, True),
        ("staging", "codebuild:ListBuildsForProject", f"{project}-staging", {}, True),
        ("staging", "codebuild:BatchGetBuilds", f"{project}-production", {}, True),
        ("staging", "logs:PutLogEvents", f"{logs}-staging:log-stream:1", {}, True),
        ("staging", "sts:AssumeRole", STAGING_ROLE, {}, True),
        ("staging", "sts:AssumeRole", PRODUCTION_ROLE, {}, False),
        ("staging", "sts:AssumeRole", f"{ROLES[SHARED]}/mlops-deployment", {}, False),  # in a single account
        ("staging", "sts:AssumeRole", f"{ROLES[SHARED]}/administrator", {}, False),
        ("staging", "sagemaker:UpdateModelPackage", version, APPROVED, False),
        ("staging", "sagemaker:UpdateModelPackage", version, {}, False),
        ("staging", "sagemaker:CreateModelPackage", version, {}, False),
        ("staging", "codepipeline:PutApprovalResult", f"{pipeline}/Production/Approve", {}, False),
        ("staging", "codepipeline:StartPipelineExecution", pipeline, {}, False),
        ("staging", "codebuild:StartBuild", f"{project}-production", {}, False),
        ("staging", "sagemaker:DescribeModelPackage", f"{SAGEMAKER}:model-package/salaries/1", {}, False),
        ("staging", "sagemaker:CreateEndpoint", f"{SAGEMAKER}:endpoint/{name}-staging", {}, False),
        ("staging", "sagemaker:CreatePipeline", f"{SAGEMAKER}:pipeline/{name}-staging", {}, False),
        ("staging", "s3:GetObject", f"{models}/models/run-1/model.tar.gz", {}, False),
        ("staging", "s3:ListBucket", models, {"s3:prefix": "data/"}, False),
        ("staging", "s3:ListBucket", models, {}, False),
        (
            "staging",
            "s3:DeleteObject",
            f"{ours}/deployments/staging/history/20260101T000000Z.json",
            {},
            False,
        ),
        ("staging", "s3:DeleteObject", f"{ours}/reports/1/staging.html", {}, False),
        ("staging", "s3:PutObject", f"{SOURCE}/{name}/main.zip", {}, False),
        ("staging", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/SageMaker"}, False),
        ("staging", "kms:Decrypt", "foundation key", {}, False),
        ("staging", "logs:PutLogEvents", f"{logs}-production:log-stream:1", {}, False),
        ("staging", "iam:PassRole", f"{ROLES[SHARED]}/mlops/service-staging/x", {}, False),
        # production's build: keeps records and reports, becomes production's role
        ("production", "s3:PutObject", f"{ours}/deployments/production/live.json", {}, True),
        ("production", "s3:GetObject", f"{ours}/deployments/staging/live.json", {}, True),
        ("production", "s3:PutObject", f"{ours}/reports/1/production.html", {}, True),
        ("production", "s3:GetObject", f"{ours}/{name[:20]}/staged/abc123", {}, True),
        ("production", "codebuild:ListBuildsForProject", f"{project}-production", {}, True),
        ("production", "codebuild:BatchGetBuilds", f"{project}-production", {}, True),
        ("production", "sts:AssumeRole", PRODUCTION_ROLE, {}, True),
        ("production", "sts:AssumeRole", STAGING_ROLE, {}, False),
        ("production", "sts:AssumeRole", f"{ROLES[PRODUCTION]}/administrator", {}, False),
        ("production", "sagemaker:UpdateModelPackage", version, APPROVED, False),
        ("production", "sagemaker:CreateModelPackage", version, {}, False),
        ("production", "sagemaker:ListModelPackages", f"{SAGEMAKER}:model-package-group/{group}", {}, False),
        ("production", "codepipeline:PutApprovalResult", f"{pipeline}/Production/Approve", {}, False),
        ("production", "codepipeline:ListPipelineExecutions", pipeline, {}, False),
        ("production", "codebuild:ListBuildsForProject", f"{project}-staging", {}, False),
        ("production", "s3:ListBucket", models, {"s3:prefix": "models/"}, False),
        ("production", "s3:GetObject", f"{models}/models/run-1/model.tar.gz", {}, False),
        ("production", "s3:DeleteObject", f"{ours}/deployments/production/history/1.json", {}, False),
        ("production", "kms:Decrypt", "foundation key", {}, False),
        # EventBridge: starts this pipeline
        ("events", "codepipeline:StartPipelineExecution", pipeline, {}, True),
        ("events", "codepipeline:StartPipelineExecution", f"{pipeline}-2", {}, False),
        ("events", "codebuild:StartBuild", f"{project}-production", {}, False),
    ]
