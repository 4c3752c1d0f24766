"""The requests to SageMaker: what CreateProcessingJob, CreateTrainingJob and CreateModelPackage are sent.

Plain requests instead of the SDK's job classes: every field that the service will see is in this file,
nothing is filled in behind our back, and building needs no AWS (docs/decisions/sagemaker-sdk-v3.md in the
collection).
Values may be pipeline variables of the SDK wherever the service takes them.
"""

from typing import Any

from evaluation.metrics import METRIC_DEFINITIONS
from pipeline_sdk import has_own_storage

from . import arguments, card
from .assets import CODE_ARCHIVE
from .config import Processing, ProjectConfig, Settings
from .images import Images
from .registry import LIVE_COMMIT, LIVE_MODEL, LIVE_PACKAGE, LIVE_REPORT, LIVE_SETTINGS

Request = dict[str, Any]

CONTENT_TYPES = ["application/json", "application/jsonlines", "text/csv"]


def preprocess(
    settings: Settings,
    images: Images,
    code_uri: str,
    data_uri: Any,
    test_uri: Any,
    runs: Any,
    instance_type: Any,
) -> Request:
    """CreateProcessingJob of the step that splits the data. `runs(name)` gives the S3 URI of an output."""
    inputs = [_input("code", code_uri), _input("data", data_uri)]
    if test_uri is not None:
        inputs.append(_input("test", test_uri))
    outputs = [_output(name, runs(name)) for name in ("train", "validation", "test", "report")]
    command = ["python3", f"{arguments.INPUT}/code/preprocess.py"]
    return _processing(
        settings.project,
        settings.model.compute.preprocess,
        images.steps,
        command,
        arguments.preprocess(settings.model),
        inputs,
        outputs,
        instance_type,
    )


def evaluate(
    settings: Settings,
    images: Images,
    code_uri: str,
    model_uri: Any,
    test_uri: Any,
    beside: dict[str, Any],
    live: dict[str, Any],
    runs: Any,
    instance_type: Any,
) -> Request:
    """CreateProcessingJob of the step that measures the model on the test set, beside the live one.

    Args:
        settings: of the repository.
        images: of the containers.
        code_uri: of the step scripts.
        model_uri: of the new model's archive.
        test_uri: of the test set.
        beside: what else is read about the new model: input name -> S3 URI.
        live: the parameters that say what is live (registry.py), by their names.
        runs: gives the S3 URI of an output.
        instance_type: of the machine.
    """
    inputs = [_input("code", code_uri), _input("model", model_uri), _input("test", test_uri)]
    inputs += [_input(name, uri) for name, uri in beside.items()]
    inputs += [
        _input("live_model", live[LIVE_MODEL]),
        _input("live_settings", live[LIVE_SETTINGS]),
        _input("live_report", live[LIVE_REPORT]),
    ]
    command = ["python3", f"{arguments.INPUT}/code/evaluate.py"]
    return _processing(
        settings.project,
        settings.model.compute.evaluate,
        images.steps,
        command,
        [
            *arguments.evaluate(settings.model, settings.project.name),
            *arguments.comparison(settings.model, live[LIVE_PACKAGE], live[LIVE_COMMIT]),
        ],
        inputs,
        [_output("evaluation", runs("evaluation"))],
        instance_type,
    )


def train(
    settings: Settings,
    images: Images,
    code_uri: str,
    channels: dict[str, Any],
    hyperparameters: dict[str, Any],
    instance_type: Any,
    checkpoint_uri: str,
) -> Request:
    """CreateTrainingJob. `channels`: name -> S3 URI; `hyperparameters`: those of steps/train.py."""
    project, machines = settings.project, settings.model.compute.train
    toolkit = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"{code_uri}/{CODE_ARCHIVE}",
        "sagemaker_region": project.region,
    }
    if machines.instance_count > 1:
        toolkit["sagemaker_torch_distributed_enabled"] = "true"
        toolkit["sagemaker_instance_type"] = machines.instance_type
    stopping = {"MaxRuntimeInSeconds": machines.max_runtime_minutes * 60}
    request: Request = {
        "AlgorithmSpecification": {
            "TrainingImage": images.steps,
            "TrainingInputMode": "File",
            "MetricDefinitions": METRIC_DEFINITIONS,
        },
        "RoleArn": project.role_arn,
        "HyperParameters": {**toolkit, **hyperparameters},
        "InputDataConfig": [_channel(name, uri) for name, uri in channels.items()],
        "OutputDataConfig": {"S3OutputPath": f"s3://{project.bucket}/models", **_key(project, "KmsKeyId")},
        "ResourceConfig": {
            "InstanceType": instance_type,
            "InstanceCount": machines.instance_count,
            "VolumeSizeInGB": machines.volume_gb,
            **_volume_key(project, machines.instance_type),
        },
        "StoppingCondition": stopping,
        "EnableInterContainerTrafficEncryption": machines.instance_count > 1,
        "Tags": _tags(project),
    }
    if machines.spot:
        stopping["MaxWaitTimeInSeconds"] = (machines.max_wait_minutes or machines.max_runtime_minutes) * 60
        request["EnableManagedSpotTraining"] = True
        # The same place in every run of the same code and settings, as it is part of the cache key;
        # steps/train.py continues from a checkpoint only if the data are the same, too.
        request["CheckpointConfig"] = {"S3Uri": checkpoint_uri, "LocalPath": "/opt/ml/checkpoints"}
    if project.network.subnets:
        request["VpcConfig"] = _vpc(project)
    return request


def register(
    settings: Settings,
    images: Images,
    model_uri: Any,
    metrics_uri: Any,
    commit: str,
    generated_by: Any,
    metadata: dict[str, Any],
    model_card: Any,
) -> Request:
    """CreateModelPackage: a version that waits for a person's approval, with what it was made from."""
    project = settings.project
    container = {
        "Image": images.inference,
        "ModelDataUrl": model_uri,
        "Environment": {
            # Both are wanted: left out, the container ignores inference.py without a word.
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            "SAGEMAKER_REGION": project.region,
            **_service(settings),
        },
    }
    return {
        "ModelPackageGroupName": project.model_package_group,
        "ModelPackageDescription": f"{project.name}, commit {commit}"[:1024],
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": CONTENT_TYPES,
            "SupportedResponseMIMETypes": CONTENT_TYPES,
            "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large", "ml.m5.xlarge", "ml.c5.xlarge"],
            "SupportedTransformInstanceTypes": ["ml.m5.large", "ml.m5.xlarge", "ml.c5.xlarge"],
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": metrics_uri}}
        },
        "MetadataProperties": {
            "CommitId": commit,
            "Repository": f"{project.bitbucket.url}/projects/{project.bitbucket.project_key}"
            f"/repos/{project.bitbucket.repository}",
            "GeneratedBy": generated_by,
            "ProjectId": project.slug,
        },
        "CustomerMetadataProperties": metadata,
        "ModelCard": {"ModelCardContent": model_card, "ModelCardStatus": card.STATUS},
        "Domain": "NATURAL_LANGUAGE_PROCESSING",
        "Task": "CLASSIFICATION",
    }


def _service(settings: Settings) -> dict[str, str]:
    """With ONNX Runtime, what starts a worker without the toolkit's imports: serving/mms_service.py."""
    if settings.model.serving.runtime == "torch":
        return {}
    return {"MMS_DEFAULT_SERVICE_HANDLER": "serving.mms_service:handle"}


def _processing(
    project: ProjectConfig,
    machine: Processing,
    image: str,
    command: list[str],
    container_arguments: list[Any],
    inputs: list[Request],
    outputs: list[Request],
    instance_type: Any,
) -> Request:
    request: Request = {
        "AppSpecification": {
            "ImageUri": image,
            "ContainerEntrypoint": command,
            "ContainerArguments": container_arguments,
        },
        "RoleArn": project.role_arn,
        "ProcessingInputs": inputs,
        "ProcessingOutputConfig": {"Outputs": outputs, **_key(project, "KmsKeyId")},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": instance_type,
                "InstanceCount": 1,
                "VolumeSizeInGB": machine.volume_gb,
                **_volume_key(project, machine.instance_type),
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": machine.max_runtime_minutes * 60},
        "Tags": _tags(project),
    }
    if project.network.subnets:
        request["NetworkConfig"] = {"VpcConfig": _vpc(project)}
    return request


def _input(name: str, uri: Any) -> Request:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{arguments.INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def _output(name: str, uri: Any) -> Request:
    return {
        "OutputName": name,
        "S3Output": {"S3Uri": uri, "LocalPath": f"{arguments.OUTPUT}/{name}", "S3UploadMode": "EndOfJob"},
    }


def _channel(name: str, uri: Any) -> Request:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "InputMode": "File", "DataSource": {"S3DataSource": source}}


def _key(project: ProjectConfig, field: str) -> dict[str, str]:
    return {field: project.kms_key_arn} if project.kms_key_arn else {}


def _volume_key(project: ProjectConfig, instance_type: str) -> dict[str, str]:
    """The key of a job's volume. Storage inside an instance has its own, and the service refuses another."""
    return {} if has_own_storage(instance_type) else _key(project, "VolumeKmsKeyId")


def _vpc(project: ProjectConfig) -> Request:
    return {"Subnets": project.network.subnets, "SecurityGroupIds": project.network.security_group_ids}


def _tags(project: ProjectConfig) -> list[dict[str, str]]:
    return [
        {"Key": key, "Value": value}
        for key, value in sorted({"project": project.slug, **project.tags}.items())
    ]
