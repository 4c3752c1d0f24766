"""The ARN of the resource that a call is about, by its parameters.

For a service in ``RESOURCES`` the ARN is computed from the first parameter of its list that the call has;
a call without any of them, and a call of a service that is not in the table, is checked by its action
only. A parameter that holds an ARN already is taken as it is. What a call does not hold as it is in the
ARN (paths of roles, ids of keys, suffixes of secrets) is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.kms.utils import _deserialize_ciphertext_blob
from moto.secretsmanager.models import secretsmanager_backends

from mlops_workbench.sandbox import moto_patches
from mlops_workbench.sandbox.iam.calls import Call
from mlops_workbench.sandbox.iam.policies import PARTITION, account_of

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


def key_arn(key_id: str, account: str, region: str) -> str | None:
    """Return the ARN of a KMS key, by its id, its ARN or an alias; ``None`` if there is none."""
    if key_id.startswith("arn:"):
        account, region = account_of(key_id), key_id.split(":")[3]
    backend = kms_backends[account][region]
    name = backend.get_key_id(backend.get_alias_name(key_id))
    if name.startswith("alias/"):
        found = (key for key in backend.keys.values() if name in key.aliases)
        key = next(found, None)
    else:
        key = backend.keys.get(name)
    return str(key.arn) if key else None


def _key(call: Call, account: str, value: Any) -> str | None:
    return key_arn(str(value), account, call.region) or (
        str(value) if str(value).startswith("arn:") else None
    )


def _ciphertext(call: Call, account: str, value: Any) -> str | None:
    """Return the ARN of the key that a ciphertext is of; moto writes the key's id in front of it."""
    try:
        key_id = _deserialize_ciphertext_blob(value).key_id
    except Exception:  # struct.error, UnicodeDecodeError: not a ciphertext, as KMS itself will say
        return None
    for partitions in list(kms_backends.values()):
        if key := partitions[call.region].keys.get(key_id):
            return str(key.arn)
    return None


def _role(call: Call, account: str, value: Any) -> str:
    backend = iam_backends[account][PARTITION]
    for role in list(backend.roles.values()):
        if role.name == value:
            return str(role.arn)
    return f"arn:aws:iam::{account}:role{call.params.get('Path') or '/'}{value}"


def _secret(call: Call, account: str, value: Any) -> str | None:
    name = str(value)
    if name.startswith("arn:"):
        account = account_of(name)
    secret = secretsmanager_backends[account][call.region].secrets.get(name)
    if secret:
        return str(secret.arn)
    return (
        name if name.startswith("arn:") else f"arn:aws:secretsmanager:{call.region}:{account}:secret:{name}"
    )


def _function(call: Call, account: str, value: Any) -> str:
    """Accept a name, ``account:function:name``, an ARN, each with a version or alias behind it."""
    parts = str(value).split(":")
    qualifier = next(iter(call.query.get("Qualifier", [])), None)
    if "function" in parts[:-1]:  # a function may itself be called "function"
        after = parts.index("function") + 1
        name, rest = parts[after], parts[after + 1 :]
        account = parts[after - 2] if after > 1 else account
    else:
        name, rest = parts[0], parts[1:]
    suffix = rest[0] if rest else qualifier
    return f"arn:aws:lambda:{call.region}:{account}:function:{name}" + (f":{suffix}" if suffix else "")


def _queue(call: Call, account: str, value: Any) -> str:
    owner, name = str(value).rstrip("/").rsplit("/", 2)[-2:]
    return f"arn:aws:sqs:{call.region}:{owner if owner.isdigit() else account}:{name}"


def _rule(call: Call, account: str, value: Any) -> str:
    bus = str(call.params.get("EventBusName") or "default").rsplit("/", 1)[-1]
    return str(value) if bus == "default" else f"{bus}/{value}"


def _target(call: Call, account: str, value: Any) -> str:
    """Return the id of a scalable target; the service chooses that of a new one."""
    backend = moto_patches.scaling.applicationautoscaling_backends[account][call.region]
    targets = backend.targets.get(str(call.params.get("ScalableDimension")), {})
    found = targets.get(str(value))
    return str(found.arn.rsplit("/", 1)[-1]) if found else "0" * 36


def _bus(call: Call, account: str, value: Any) -> str:
    return str(value.get("EventBusName") or "default").rsplit("/", 1)[-1]


#: A field of a template in ``resources`` to the function that finds its value.
FIELDS: dict[str, Callable[[Call, str, Any], str | None]] = {
    "build": lambda call, account, value: str(value).rsplit("/", 1)[-1].split(":")[0],
    "bucket": lambda call, account, value: str(call.params["Bucket"]),
    "bus": _bus,
    "ciphertext": _ciphertext,
    "function": _function,
    "group": lambda call, account, value: str(value).removesuffix(":*").rsplit("log-group:", 1)[-1],
    "key": _key,
    "object": lambda call, account, value: str(value["Key"]),
    "parameter": lambda call, account, value: str(value).split(":parameter")[-1].lstrip("/"),
    "path": lambda call, account, value: str(call.params.get("Path") or "/"),
    "pipeline": lambda call, account, value: str(call.params.get("pipelineName") or ""),
    "queue": _queue,
    "registry": lambda call, account, value: str(call.params.get("registryId") or account),
    "role": _role,
    "rule": _rule,
    "secret": _secret,
    "stage": lambda call, account, value: str(call.params.get("stageName") or ""),
    "target": _target,
    "stream": lambda call, account, value: str(call.params.get("logStreamName") or ""),
    "topic": lambda call, account, value: str(value).rsplit(":", 1)[0],
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
    for field, find in FIELDS.items():
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
