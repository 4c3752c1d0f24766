"""Small pipeline definitions for the tests: JSON as the service takes it, made from parts."""

from __future__ import annotations

import atexit
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
#: A made-up image; sandbox.toml of the tests maps it to this Python.
IMAGE = "example.test/tiny:1"
#: Maps to a model server that answers with what it got, in capitals.
SERVER_IMAGE = "example.test/server:1"
BUCKET = "pipeline-tests"

Json = dict[str, Any]


def get(path: str) -> Json:
    """Return a Get expression."""
    return {"Get": path}


def join(*values: Any, on: str = "/") -> Json:
    """Return a Std:Join expression."""
    return {"Std:Join": {"On": on, "Values": list(values)}}


def property_value(step: str, file: str, path: str) -> Json:
    """Return a Std:JsonGet expression on a property file."""
    return {"Std:JsonGet": {"PropertyFile": get(f"Steps.{step}.PropertyFiles.{file}"), "Path": path}}


def parameter(name: str, type_: str = "String", default: Any = None, enum: list[str] | None = None) -> Json:
    """Return a parameter's declaration."""
    declared: Json = {"Name": name, "Type": type_}
    if default is not None:
        declared["DefaultValue"] = default
    if enum:
        declared["EnumValues"] = enum
    return declared


def output_uri(step: str, name: str = "out") -> Json:
    """Return a Get of where a processing step put an output."""
    return get(f"Steps.{step}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri")


def program(code: str) -> list[str]:
    """Return the command that runs Python code: from a file, as the service takes 256 "
    "characters an argument."""
    if len(code) <= 256:
        return ["python3", "-c", code]
    path = Path(tempfile.gettempdir()) / f"sandbox-tests-{hashlib.sha256(code.encode()).hexdigest()}.py"
    atexit.register(path.unlink, missing_ok=True)
    path.write_text(code)
    return ["python3", str(path)]


def processing(
    name: str,
    code: str = "pass",
    *,
    inputs: dict[str, Any] | None = None,
    outputs: dict[str, Any] | None = None,
    arguments: list[Any] | None = None,
    environment: Json | None = None,
    max_runtime: int = 60,
    **more: Any,
) -> Json:
    """Return a Processing step that runs Python code.

    Args:
        name: of the step.
        code: of a Python program; what it writes to /opt/ml/processing/NAME goes to the output NAME.
        inputs: input name to S3 URI, found under /opt/ml/processing/NAME.
        outputs: output name to S3 URI; by default one, "out", under the execution's id.
        arguments: of the program.
        environment: variables.
        max_runtime: seconds.
        more: further keys of the step.
    """
    outputs = (
        {"out": join(f"s3://{BUCKET}/runs", get("Execution.PipelineExecutionId"), name, "out")}
        if (outputs is None)
        else outputs
    )
    call: Json = {
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": program(code)},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": max_runtime},
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": key,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/{key}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for key, uri in outputs.items()
            ]
        },
    }
    if inputs:
        call["ProcessingInputs"] = [
            {
                "InputName": key,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/{key}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
            for key, uri in inputs.items()
        ]
    if arguments:
        call["AppSpecification"]["ContainerArguments"] = arguments
    if environment:
        call["Environment"] = environment
    return {"Name": name, "Type": "Processing", "Arguments": call, **more}


def training(name: str, code: str, *, channels: dict[str, Any] | None = None, **more: Any) -> Json:
    """Return a Training step that runs Python code; what it writes to /opt/ml/model becomes the model."""
    call: Json = {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": program(code),
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    if channels:
        call["InputDataConfig"] = [
            {
                "ChannelName": key,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3DataDistributionType": "FullyReplicated",
                        "S3Uri": uri,
                    }
                },
            }
            for key, uri in channels.items()
        ]
    return {"Name": name, "Type": "Training", "Arguments": call, **more}


def condition(
    name: str,
    conditions: list[Any],
    then: list[Json] | None = None,
    otherwise: list[Json] | None = None,
    **more: Any,
) -> Json:
    """Return a Condition step."""
    call = {"Conditions": conditions, "IfSteps": then or [], "ElseSteps": otherwise or []}
    return {"Name": name, "Type": "Condition", "Arguments": call, **more}


def compare(type_: str, left: Any, right: Any) -> Json:
    """Return a comparison."""
    return {"Type": type_, "LeftValue": left, "RightValue": right}


def fail(name: str, message: Any) -> Json:
    """Return a Fail step."""
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def register(name: str, model: Any, group: str = "models", **more: Any) -> Json:
    """Return a RegisterModel step."""
    call = {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": model}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    }
    return {"Name": name, "Type": "RegisterModel", "Arguments": call, **more}


def pipeline(*steps: Json, parameters: list[Json] | None = None, **more: Any) -> Json:
    """Return a definition."""
    return {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": parameters or [],
        "Steps": list(steps),
        **more,
    }


def text(definition: Json) -> str:
    """Return a definition as JSON text."""
    return json.dumps(definition)
