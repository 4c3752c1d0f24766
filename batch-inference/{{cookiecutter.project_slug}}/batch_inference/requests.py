"""The requests to SageMaker: what CreateProcessingJob, CreateModel and CreateTransformJob are sent.

Plain requests: every field that the service will see is in this file. Values may be pipeline variables of the
SDK wherever the service takes them. What they refer to in an environment, a `Target` has by name:
terraform/batch makes it under the same names. All of them follow from config/project.yaml, so the pipeline's
definition can be built before any of them is there.
"""

from typing import Any, NamedTuple

from columns import ADDED
from pipeline_sdk import has_own_storage
from release.environments import PRODUCTION

from .config import Environment, Settings, Transform

WORK = "work"
"""The folder of the bucket that has one folder for each execution of the pipeline."""

Request = dict[str, Any]

JSON_LINES = "application/jsonlines"
LARGEST_ANSWER = 100 * 1024**2  # bytes; as large as the largest request

INPUT, OUTPUT = "/opt/ml/processing/input", "/opt/ml/processing/output"
ASKED = "asked"
"""The folder of what SageMaker transforms. (The prefix of the folder `request` would match `requests`.)"""

JOINED = "$['id','SageMakerOutput']"
"""What is kept of a record that SageMaker has joined with its answer."""


class Target(NamedTuple):
    """What belongs to one environment, by name."""

    environment: str
    account: str
    pipeline: str
    bucket: str
    role_arn: str  # of the pipeline and its jobs
    begin_arn: str  # the function that finds the model
    publish_arn: str  # the function that puts the answers in their place
    key_arn: str  # the alias of the foundation's key


def target(settings: Settings, environment: str) -> Target:
    """The names of one environment."""
    project, account = settings.project, settings.account(environment)
    slug, prefix, region = project.slug, project.prefix, project.region
    # the foundation's conventions: service_role_path, and the alias of each environment's key
    path = f"/{prefix}/service/" if environment == PRODUCTION else f"/{prefix}/service-{environment}/"
    alias = f"{prefix}-{PRODUCTION}" if environment == PRODUCTION else prefix
    arn = f"arn:{project.partition}"
    functions = f"{arn}:lambda:{region}:{account}:function:{slug}"
    return Target(
        environment,
        account,
        settings.pipeline(environment),
        settings.data_bucket(environment),
        f"{arn}:iam::{account}:role{path}{slug}-{environment}-jobs",
        f"{functions}-begin-{environment}",
        f"{functions}-publish-{environment}",
        f"{arn}:kms:{region}:{account}:alias/{alias}",
    )


def normalise(settings: Settings, at: Target, image: str, work: Any) -> Request:
    """CreateProcessingJob of the step that reads the file. `work(name)` gives the S3 URI of a folder."""
    return _processing(
        settings,
        at,
        image,
        "normalise.py",
        normalise_arguments(settings, at.environment),
        {name: work(name) for name in ("code", "source", "request")},
        {"requests": work(ASKED), "rows": work("rows"), "report": work("report")},
    )


def answer(settings: Settings, at: Target, image: str, work: Any, *, answers: Any) -> Request:
    """CreateProcessingJob of the step that joins answers to rows; `answers` None when nothing was asked."""
    inputs = {name: work(name) for name in ("code", "rows", "request", "report")}
    if answers is not None:
        inputs["answers"] = answers
    return _processing(
        settings,
        at,
        image,
        "answer.py",
        answer_arguments(settings, at.environment),
        inputs,
        {"result": work("result")},
    )


def model(settings: Settings, at: Target, package_arn: Any) -> Request:
    """CreateModel of a version of the model package group."""
    return {
        "ExecutionRoleArn": at.role_arn,
        "PrimaryContainer": {
            "ModelPackageName": package_arn,
            "Environment": container_environment(settings.environment(at.environment).transform),
        },
        "Tags": _tags(settings, at.environment),
    }


def transform(settings: Settings, at: Target, model_name: Any, requests: Any, answers: Any) -> Request:
    """CreateTransformJob over the folder with the requests."""
    wanted = settings.environment(at.environment).transform
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": requests}}
    request: Request = {
        "ModelName": model_name,
        "MaxConcurrentTransforms": wanted.max_concurrent_transforms,
        "MaxPayloadInMB": wanted.max_payload_mb,
        "ModelClientConfig": {
            "InvocationsTimeoutInSeconds": wanted.timeout_seconds,
            "InvocationsMaxRetries": wanted.max_retries,
        },
        "TransformInput": {
            "DataSource": source,
            "ContentType": JSON_LINES,
            "SplitType": wanted.split,
            "CompressionType": "None",
        },
        "TransformOutput": {
            "S3OutputPath": answers,
            "Accept": JSON_LINES,
            "AssembleWith": "Line",
            "KmsKeyId": at.key_arn,
        },
        "TransformResources": {
            "InstanceType": wanted.instance_type,
            "InstanceCount": wanted.instance_count,
            **volume_key(wanted.instance_type, at.key_arn),
        },
        "Tags": _tags(settings, at.environment),
    }
    for field, value in (("BatchStrategy", strategy(wanted)), ("DataProcessing", data_processing(wanted))):
        if value is not None:
            request[field] = value
    return request


def container_environment(wanted: Transform) -> dict[str, str]:
    """The variables of the model's container.

    The model server of the Hugging Face images has limits of its own, and a request of a transform job may
    hold thousands of texts: it would end a request after 60 s, whatever the job allows, and its worker with
    an answer of more than 6.5 MB.
    """
    return {
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": str(wanted.timeout_seconds),
        "MMS_MAX_RESPONSE_SIZE": str(LARGEST_ANSWER),
        **wanted.environment,
    }


def strategy(wanted: Transform) -> str | None:
    """BatchStrategy; the service takes none where it does not cut files."""
    return wanted.strategy if wanted.split == "Line" else None


def data_processing(wanted: Transform) -> Request | None:
    """DataProcessing: each answer comes back with the id of its row."""
    return {"JoinSource": "Input", "OutputFilter": JOINED} if wanted.join == "Input" else None


def normalise_arguments(settings: Settings, environment: str) -> list[str]:
    """The command line of steps/normalise.py; each argument is one text of at most 256 characters."""
    taken, wanted = settings.transform.input, settings.environment(environment).transform
    carried = [] if taken.carry_columns == "all" else taken.carry_columns
    return [
        *(f"--text-column={name}" for name in taken.text_columns),
        *(f"--carry={name}" for name in carried),
        f"--encoding={taken.encoding}",
        f"--delimiter={taken.delimiter}",
        f"--max-bad-percent={taken.max_bad_percent:g}",
        *(argument(name, value) for name, value in normalise_machines(wanted).items()),
        f"--top-labels={settings.transform.output.top_labels}",
        *_column_arguments(settings),
    ]


def normalise_machines(wanted: Transform) -> dict[str, object]:
    """What normalise.py has to know of the transform job."""
    return {
        "max-payload-mb": wanted.max_payload_mb,
        "instances": wanted.instance_count,
        "split": wanted.split,
    }


def answer_arguments(settings: Settings, environment: str) -> list[str]:
    """The command line of steps/answer.py."""
    given, wanted = settings.transform.output, settings.environment(environment).transform
    return [
        *(argument(name, value) for name, value in answer_machines(wanted).items()),
        f"--max-bad-percent={settings.transform.input.max_bad_percent:g}",
        f"--top-labels={given.top_labels}",
        *_column_arguments(settings),
        f"--format={given.format}",
        f"--compression={given.compression}",
    ]


def answer_machines(wanted: Transform) -> dict[str, object]:
    """What answer.py has to know of the transform job."""
    return {"join": wanted.join}


def argument(name: str, value: object) -> str:
    """One argument of a step."""
    return f"--{name}={value}"


def volume_key(instance_type: str, key_arn: str) -> dict[str, str]:
    """The key of a machine's disk, unless that is inside the instance and has a key of its own."""
    return {} if has_own_storage(instance_type) else {"VolumeKmsKeyId": key_arn}


def cluster(machines: Environment, key_arn: str) -> Request:
    """ClusterConfig of a processing job: one machine, as a file is read from its beginning to its end."""
    machine = machines.processing
    return {
        "InstanceType": machine.instance_type,
        "InstanceCount": 1,
        "VolumeSizeInGB": machine.volume_gb,
        **volume_key(machine.instance_type, key_arn),
    }


def _column_arguments(settings: Settings) -> list[str]:
    names = settings.transform.output.columns.names
    return [argument(f"{column.option}-column", names[column.key]) for column in ADDED]


def _processing(
    settings: Settings,
    at: Target,
    image: str,
    script: str,
    container_arguments: list[str],
    inputs: dict[str, Any],
    outputs: dict[str, Any],
) -> Request:
    machines = settings.environment(at.environment)
    return {
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": ["python3", f"{INPUT}/code/{script}"],
            "ContainerArguments": container_arguments,
        },
        "RoleArn": at.role_arn,
        "ProcessingInputs": [_input(name, uri) for name, uri in inputs.items()],
        "ProcessingOutputConfig": {
            "Outputs": [_output(name, uri) for name, uri in outputs.items()],
            "KmsKeyId": at.key_arn,
        },
        "ProcessingResources": {"ClusterConfig": cluster(machines, at.key_arn)},
        "StoppingCondition": {"MaxRuntimeInSeconds": machines.processing.max_runtime_minutes * 60},
        "Tags": _tags(settings, at.environment),
    }


def _input(name: str, uri: Any) -> Request:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def _output(name: str, uri: Any) -> Request:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": uri, "LocalPath": f"{OUTPUT}/{name}", "S3UploadMode": "EndOfJob"},
    }


def _tags(settings: Settings, environment: str) -> list[dict[str, str]]:
    tags = {"project": settings.project.slug, "environment": environment, **settings.project.tags}
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
