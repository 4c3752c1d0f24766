"""The requests to SageMaker: what CreateProcessingJob, CreateTrainingJob and CreateModelPackage are sent.

Plain requests instead of the SDK's job classes: every field that the service will see is in this file, the
command lines of the step scripts too; nothing is filled in behind our back, and building needs no AWS
(docs/decisions/sagemaker-sdk-v3.md in the collection).
Values may be pipeline variables of the SDK wherever the service takes them; in a command line all are texts.
"""

from typing import Any

from evaluation.metrics import METRIC_DEFINITIONS
from pipeline_sdk import has_own_storage
from training.settings import HYPERPARAMETERS

from .assets import CODE_ARCHIVE
from .config import ModelConfig, Processing, ProjectConfig, Settings
from .images import Images
from .registry import CARD_STATUS, LIVE_COMMIT, LIVE_MODEL, LIVE_PACKAGE, LIVE_REPORT, LIVE_SETTINGS
from .targets import Threshold

Request = dict[str, Any]

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
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
    command = ["python3", f"{INPUT}/code/preprocess.py"]
    return _processing(
        settings.project,
        settings.model.compute.preprocess,
        images.steps,
        command,
        preprocess_arguments(settings.model),
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
    command = ["python3", f"{INPUT}/code/evaluate.py"]
    return _processing(
        settings.project,
        settings.model.compute.evaluate,
        images.steps,
        command,
        [
            *evaluate_arguments(settings.model, settings.project.name),
            *comparison_arguments(settings.model, live[LIVE_PACKAGE], live[LIVE_COMMIT]),
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
        "ModelCard": {"ModelCardContent": model_card, "ModelCardStatus": CARD_STATUS},
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


def preprocess_arguments(config: ModelConfig) -> list[str]:
    """Arguments of steps/preprocess.py."""
    data, split = config.data, config.split
    arguments = ["--input", f"{INPUT}/data"]
    if data.test_source is not None:
        arguments += ["--test-input", f"{INPUT}/test"]
    arguments += ["--output", OUTPUT, "--format", data.format, "--encoding", data.encoding]
    for column in data.text_columns:
        arguments += ["--text-column", column]
    arguments += ["--join", data.join]
    if data.label_column is not None:
        arguments += ["--label-column", data.label_column]
    for name, target in (data.targets or {}).items():
        arguments += ["--target", f"{name}={target.column}"]
        if target.between is not None:
            arguments += ["--separator", f"{name}={target.between}"]
    if data.group_column is not None:
        arguments += ["--group-column", data.group_column]
    arguments += ["--train-fraction", f"{split.train:g}", "--validation-fraction", f"{split.validation:g}"]
    arguments += ["--test-fraction", f"{split.test:g}", "--seed", str(split.seed)]
    arguments += ["--max-bad-label-share", f"{data.max_bad_label_share:g}"]
    if data.redact is not None:
        for kind in data.redact.kinds:
            arguments += ["--redact", kind]
        arguments += ["--phone-region", data.redact.phone_region]
    return arguments


def hyperparameters_of(config: ModelConfig, base_model: str | None) -> dict[str, str]:
    """Hyperparameters of steps/train.py.

    Args:
        config: the model's configuration.
        base_model: a hub id, or None when the base model comes as the channel `base_model`.
    """
    model, training = config.model, config.training
    values = {
        **{name: getattr(training, name) for name in type(training).model_fields if name in HYPERPARAMETERS},
        "max_length": model.max_length,
        "truncation": model.truncation,
        "early_stopping_metric": training.early_stopping.metric,
        "early_stopping_patience": training.early_stopping.patience,
        "triage_precision": triage_precisions(config) or None,
    }
    if config.serving.runtime != "torch":  # not named: what is trained as before is taken from the cache
        values["serving_runtime"] = config.serving.runtime
        values["max_accuracy_loss"] = config.serving.max_accuracy_loss
    return {
        **({} if base_model is None else {"base-model": base_model}),
        **{name.replace("_", "-"): _text(value) for name, value in values.items() if value is not None},
    }


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def evaluate_arguments(config: ModelConfig, title: str) -> list[str]:
    """Arguments of steps/evaluate.py, with the acceptance thresholds; `title` heads its report."""
    arguments = ["--model", f"{INPUT}/model", "--test", f"{INPUT}/test", "--output", f"{OUTPUT}/evaluation"]
    arguments += ["--seed", str(config.split.seed), "--title", title]
    for name, threshold in thresholds(config).items():
        bound, value = bound_of(threshold.at_least, threshold.at_most)
        arguments += [f"--{bound.replace('_', '-')}", f"{name}={value:g}"]
    if config.serving.image != "huggingface":  # not named: what is measured as before comes from the cache
        arguments += ["--serving-image", config.serving.image]
    return arguments


def thresholds(config: ModelConfig) -> dict[str, Threshold]:
    """The bound on each metric, by its name; of several targets that is `target.metric`."""
    several = len(config.data.labels) > 1
    return {
        f"{target}.{metric}" if several else metric: threshold
        for target, bounds in config.thresholds.items()
        for metric, threshold in bounds.items()
    }


def triage_precisions(config: ModelConfig) -> str:
    """`target=precision` of each target with triage, separated by commas; of one target the number alone."""
    triage, names = config.triage, list(config.data.labels)
    wanted = {name: precision for name in names if triage and (precision := triage.of(name)) is not None}
    if len(names) == 1:
        return "".join(f"{precision:g}" for precision in wanted.values())
    return ",".join(f"{name}={precision:g}" for name, precision in wanted.items())


def comparison_arguments(config: ModelConfig, live_package: Any, live_commit: Any) -> list[Any]:
    """Arguments of steps/evaluate.py about the live model; both may be pipeline variables."""
    found = ["--live-package", live_package, "--live-commit", live_commit]
    if config.comparison.not_worse_by is not None:
        limit = f"{config.comparison.metric}={config.comparison.not_worse_by:g}"
        found += ["--not-worse-by", limit]
    return found


def bound_of(at_least: float | None, at_most: float | None) -> tuple[str, float]:
    """The one bound that is set: its name and its value."""
    if at_least is not None:
        return "at_least", at_least
    assert at_most is not None  # the configuration admits exactly one
    return "at_most", at_most
