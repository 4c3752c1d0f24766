"""Endpoints and versions that go wrong, or that are only measured: made by an administrator with boto3."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from tests.serverless_inference.organisation import ENDPOINTS, MODELS, Organisation


def configuration(organisation: Organisation, environment: str) -> str:
    account, name = ENDPOINTS[environment]
    described = organisation.client("sagemaker", account).describe_endpoint(EndpointName=name)
    return str(described["EndpointConfigName"])


def served_model(organisation: Organisation) -> dict[str, Any]:
    """The model behind staging's endpoint."""
    sagemaker = organisation.client("sagemaker")
    (variant,) = sagemaker.describe_endpoint_config(
        EndpointConfigName=configuration(organisation, "staging")
    )["ProductionVariants"]
    model: dict[str, Any] = sagemaker.describe_model(ModelName=variant["ModelName"])
    return {**model, "Variant": variant}


def broken_model(organisation: Organisation, arn: str) -> str:
    """A version whose inference.py loads, and raises at every request."""
    found = organisation.client("sagemaker").describe_model_package(ModelPackageName=arn)
    url = found["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    key = url.removeprefix(f"s3://{MODELS}/")
    raising = b'\n\ndef predict_fn(data, model):\n    raise ValueError("this model cannot read")\n'
    url = repack(
        organisation,
        key,
        "models/broken/model.tar.gz",
        lambda name, data: data + raising if name.endswith("code/inference.py") else data,
    )
    return organisation.register_variant(arn, ModelDataUrl=url)


def without_code(organisation: Organisation, container: dict[str, Any]) -> str:
    """The same archive without our script: what the default handler is given."""
    source = container["ModelDataUrl"].removeprefix(f"s3://{MODELS}/")
    return repack(
        organisation,
        source,
        "models/default/model.tar.gz",
        lambda name, data: None if "code/" in name else data,
    )


def repack(
    organisation: Organisation, key: str, to: str, change: Callable[[str, bytes], bytes | None]
) -> str:
    """Upload another archive whose files are changed, or left out; its address."""
    s3 = organisation.client("s3")
    archive = BytesIO(s3.get_object(Bucket=MODELS, Key=key)["Body"].read())
    changed = BytesIO()
    with tarfile.open(fileobj=archive) as source, tarfile.open(fileobj=changed, mode="w:gz") as target:
        for member in source.getmembers():
            content = source.extractfile(member)
            if content is None:
                continue
            data = change(member.name, content.read())
            if data is not None:
                member.size = len(data)
                target.addfile(member, BytesIO(data))
    s3.put_object(Bucket=MODELS, Key=to, Body=changed.getvalue())
    return f"s3://{MODELS}/{to}"


def measured_endpoint(organisation: Organisation, side: str) -> str:
    """An endpoint with the archive of version 1, served by its own script or by the default handler."""
    sagemaker = organisation.client("sagemaker")
    found = sagemaker.describe_model_package(ModelPackageName=organisation.wait_for_version(1))
    container = found["InferenceSpecification"]["Containers"][0]
    default = {"HF_TASK": "text-classification", "SAGEMAKER_PROGRAM": "", "SAGEMAKER_SUBMIT_DIRECTORY": ""}
    name = f"measured-{side.partition(' ')[0]}"
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=served_model(organisation)["ExecutionRoleArn"],
        PrimaryContainer={
            "Image": container["Image"],
            "ModelDataUrl": container["ModelDataUrl"]
            if side == "ours"
            else without_code(organisation, container),
            "Environment": container["Environment"] if side == "ours" else default,
        },
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "ServerlessConfig": {"MemorySizeInMB": 3072, "MaxConcurrency": 1},
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    return name


def fail_endpoint(organisation: Organisation) -> None:
    """Put an endpoint that has failed in the place of staging's: its archive vanished while it was made."""
    account, name = ENDPOINTS["staging"]
    sagemaker, s3 = organisation.client("sagemaker", account), organisation.client("s3")
    served = served_model(organisation)
    package = served["PrimaryContainer"]["ModelPackageName"]
    found = sagemaker.describe_model_package(ModelPackageName=package)["InferenceSpecification"]
    container = {**found["Containers"][0], "ModelDataUrl": f"s3://{MODELS}/models/vanishes/model.tar.gz"}
    s3.put_object(Bucket=MODELS, Key="models/vanishes/model.tar.gz", Body=b"not for long")
    sagemaker.create_model(
        ModelName="vanishes",
        ExecutionRoleArn=served["ExecutionRoleArn"],
        PrimaryContainer={key: container[key] for key in ("Image", "ModelDataUrl")},
    )
    s3.delete_object(Bucket=MODELS, Key="models/vanishes/model.tar.gz")
    sagemaker.create_endpoint_config(
        EndpointConfigName="vanishes", ProductionVariants=[{**served["Variant"], "ModelName": "vanishes"}]
    )
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="vanishes")
    deadline = time.monotonic() + 120
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Failed":
        assert time.monotonic() < deadline, sagemaker.describe_endpoint(EndpointName=name)
        time.sleep(0.2)
