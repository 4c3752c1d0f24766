"""The ARN of the resource that a call is about, by its parameters.

For a service in ``RESOURCES`` the ARN is computed from the first parameter of its list that the call has; a
call without any of them, and a call of a service that is not in the table, is checked by its action only. A
parameter that holds an ARN already is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlops_workbench.sandbox.access import lookups
from mlops_workbench.sandbox.access.calls import Call

#: service -> ((parameter, template), ...). A dot in a parameter's name leads into a structure; a list gives a
#: resource for each of its items. ``{}`` is the value, ``{r}`` and ``{a}`` are Region and account.
RESOURCES: dict[str, tuple[tuple[str, str], ...]] = {
    "application-autoscaling": (
        ("ResourceId", "arn:aws:application-autoscaling:{r}:{a}:scalable-target/{target}"),
        ("ResourceARN", "{}"),
    ),
    "cloudwatch": (
        ("AlarmName", "arn:aws:cloudwatch:{r}:{a}:alarm:{}"),
        ("AlarmNames", "arn:aws:cloudwatch:{r}:{a}:alarm:{}"),
        ("DashboardName", "arn:aws:cloudwatch::{a}:dashboard/{}"),
        ("DashboardNames", "arn:aws:cloudwatch::{a}:dashboard/{}"),
        ("ResourceARN", "{}"),
    ),
    "codebuild": (
        ("projectName", "arn:aws:codebuild:{r}:{a}:project/{}"),
        ("name", "arn:aws:codebuild:{r}:{a}:project/{}"),
        ("names", "arn:aws:codebuild:{r}:{a}:project/{}"),
        # A build's id is PROJECT:UUID, and permission is given on the project.
        ("id", "arn:aws:codebuild:{r}:{a}:project/{build}"),
        ("ids", "arn:aws:codebuild:{r}:{a}:project/{build}"),
    ),
    "codepipeline": (
        # An answer to an approval takes permission on the action; calls on a stage on the stage.
        ("actionName", "arn:aws:codepipeline:{r}:{a}:{pipeline}/{stage}/{}"),
        ("stageName", "arn:aws:codepipeline:{r}:{a}:{pipeline}/{}"),
        ("pipeline.name", "arn:aws:codepipeline:{r}:{a}:{}"),
        ("pipelineName", "arn:aws:codepipeline:{r}:{a}:{}"),
        ("name", "arn:aws:codepipeline:{r}:{a}:{}"),
        ("resourceArn", "{}"),
    ),
    "ecr": (
        ("repositoryName", "arn:aws:ecr:{r}:{registry}:repository/{}"),
        ("repositoryNames", "arn:aws:ecr:{r}:{registry}:repository/{}"),
        ("resourceArn", "{}"),
    ),
    "events": (
        ("Rule", "arn:aws:events:{r}:{a}:rule/{rule}"),
        ("Name", "arn:aws:events:{r}:{a}:rule/{rule}"),
        ("Entries", "arn:aws:events:{r}:{a}:event-bus/{bus}"),
        ("ResourceARN", "{}"),
    ),
    "iam": (
        ("RoleName", "{role}"),
        ("PolicyArn", "{}"),
        ("PolicyName", "arn:aws:iam::{a}:policy{path}{}"),
        ("UserName", "arn:aws:iam::{a}:user{path}{}"),
        ("OpenIDConnectProviderArn", "{}"),
        ("InstanceProfileName", "arn:aws:iam::{a}:instance-profile{path}{}"),
    ),
    "kms": (
        ("KeyId", "{key}"),
        ("TargetKeyId", "{key}"),
        ("CiphertextBlob", "{ciphertext}"),
    ),
    "lambda": (
        ("FunctionName", "{function}"),
        ("Resource", "{}"),
        ("UUID", "arn:aws:lambda:{r}:{a}:event-source-mapping:{}"),
    ),
    "logs": (
        ("logGroupName", "arn:aws:logs:{r}:{a}:log-group:{}:log-stream:{stream}"),
        ("logGroupIdentifier", "arn:aws:logs:{r}:{a}:log-group:{group}:log-stream:{stream}"),
        ("resourceArn", "{}"),
    ),
    "s3": (
        ("Key", "arn:aws:s3:::{bucket}/{}"),
        ("Delete.Objects", "arn:aws:s3:::{bucket}/{object}"),
        ("Bucket", "arn:aws:s3:::{}"),
    ),
    "sagemaker": (
        ("PipelineExecutionArn", "{}"),
        ("PipelineName", "arn:aws:sagemaker:{r}:{a}:pipeline/{}"),
        ("ModelPackageArn", "{}"),
        ("ModelPackageName", "arn:aws:sagemaker:{r}:{a}:model-package/{}"),
        ("ModelPackageGroupName", "arn:aws:sagemaker:{r}:{a}:model-package-group/{}"),
        ("TrainingJobName", "arn:aws:sagemaker:{r}:{a}:training-job/{}"),
        ("ProcessingJobName", "arn:aws:sagemaker:{r}:{a}:processing-job/{}"),
        ("TransformJobName", "arn:aws:sagemaker:{r}:{a}:transform-job/{}"),
        ("EndpointName", "arn:aws:sagemaker:{r}:{a}:endpoint/{}"),
        ("EndpointConfigName", "arn:aws:sagemaker:{r}:{a}:endpoint-config/{}"),
        ("ModelName", "arn:aws:sagemaker:{r}:{a}:model/{}"),
        ("ResourceArn", "{}"),
    ),
    "sagemaker-runtime": (("EndpointName", "arn:aws:sagemaker:{r}:{a}:endpoint/{}"),),
    "secretsmanager": (
        ("SecretId", "{secret}"),
        # The service ends the ARN with six characters of its own choice.
        ("Name", "arn:aws:secretsmanager:{r}:{a}:secret:{}-000000"),
    ),
    "sns": (
        ("TopicArn", "{}"),
        ("TargetArn", "{}"),
        ("ResourceArn", "{}"),
        ("SubscriptionArn", "{topic}"),
        ("Name", "arn:aws:sns:{r}:{a}:{}"),
    ),
    "sqs": (
        ("QueueUrl", "{queue}"),
        ("QueueName", "arn:aws:sqs:{r}:{a}:{}"),
    ),
    "ssm": (
        ("Name", "arn:aws:ssm:{r}:{a}:parameter/{parameter}"),
        ("Names", "arn:aws:ssm:{r}:{a}:parameter/{parameter}"),
        ("Path", "arn:aws:ssm:{r}:{a}:parameter/{parameter}"),
        ("ResourceId", "arn:aws:ssm:{r}:{a}:parameter/{parameter}"),
    ),
    "sts": (("RoleArn", "{}"),),
}
#: Calls that IAM can allow on ``*`` only: a policy that names a resource does not allow them.
EVERYTHING = {
    "application-autoscaling": {
        "DescribeScalableTargets",
        "DescribeScalingActivities",
        "DescribeScalingPolicies",
        "DescribeScheduledActions",
    },
    "cloudwatch": {"PutMetricData", "GetMetricData", "GetMetricStatistics", "ListMetrics"},
    "codebuild": {"ListProjects", "ListBuilds"},
    "codepipeline": {"ListPipelines"},
    "ecr": {"GetAuthorizationToken"},
    "events": set[str](),
    "iam": {"ListRoles", "ListPolicies", "ListUsers"},
    "kms": {"CreateKey", "ListKeys", "ListAliases", "GenerateRandom"},
    "lambda": {"ListFunctions", "ListEventSourceMappings"},
    "s3": {"ListBuckets"},
    "sagemaker": {
        "ListEndpointConfigs",
        "ListEndpoints",
        "ListModels",
        "ListPipelines",
        "ListProcessingJobs",
        "ListTrainingJobs",
        "ListTransformJobs",
    },
    "secretsmanager": {"ListSecrets", "GetRandomPassword"},
    "sns": {"ListTopics", "ListSubscriptions"},
    "sqs": {"ListQueues"},
    "ssm": {"DescribeParameters"},
    "sts": {"GetCallerIdentity"},
}
#: Calls whose parameter is a name but whose permission is not given on that resource.
_ACTION_ONLY = {
    # The reference gives this call no resource; a group's own policy is another matter.
    ("sagemaker", "ListModelPackages"),
    ("logs", "DescribeLogGroups"),
    ("lambda", "CreateEventSourceMapping"),
}


def resources_of(call: Call, account: str) -> list[str | None]:
    """Return the ARNs that a call must be allowed on; ``None`` stands for any: only the action counts."""
    if call.service in ("apigateway", "apigatewayv2"):
        return [f"arn:aws:apigateway:{call.region}::{call.path}"]
    if call.operation in EVERYTHING.get(call.service, ()):
        return ["*"]
    if (call.service, call.operation) in _ACTION_ONLY:
        return [None]
    group = call.params.get("ModelPackageGroupName")
    if (call.service, call.operation) == ("sagemaker", "CreateModelPackage") and group:
        name = str(group).rsplit("/", 1)[-1]
        return [f"arn:aws:sagemaker:{call.region}:{account}:model-package/{name}/*"]
    found = _from_table(call, account)
    if call.operation in ("CreateEndpoint", "UpdateEndpoint"):
        config = call.params.get("EndpointConfigName")
        found.append(f"arn:aws:sagemaker:{call.region}:{account}:endpoint-config/{config}")
    if call.service == "kms" and (alias := call.params.get("AliasName")):
        found.append(f"arn:aws:kms:{call.region}:{account}:{alias}")
    return found or [None]


def _from_table(call: Call, account: str) -> list[str | None]:
    for parameter, template in RESOURCES.get(call.service, ()):
        values = list(_values(call.params, parameter))
        if values:
            return [_arn(call, account, template, value) for value in values]
    return []


def _arn(call: Call, account: str, template: str, value: Any) -> str | None:
    if isinstance(value, str) and value.startswith("arn:") and "{}" in template:
        return value
    for field, find in lookups.FIELDS.items():
        if f"{{{field}}}" in template:
            found = find(call, account, value)
            if found is None:
                return None
            template = template.replace(f"{{{field}}}", found)
    return template.replace("{r}", call.region).replace("{a}", account).replace("{}", str(value))


def _values(params: Any, path: str) -> Iterable[Any]:
    for part in path.split("."):
        params = params.get(part) if isinstance(params, dict) else None
    if isinstance(params, list):
        yield from params
    elif params:
        yield params
