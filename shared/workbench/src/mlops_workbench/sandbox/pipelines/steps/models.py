"""Model and RegisterModel steps: plain calls to SageMaker, which in the sandbox is moto."""

from __future__ import annotations

import contextlib
from typing import Any

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.pipelines.errors import StepFailed
from mlops_workbench.sandbox.pipelines.requests import build
from mlops_workbench.sandbox.pipelines.shapes import OPERATIONS
from mlops_workbench.sandbox.pipelines.steps.call import Call, Outcome


def create(call: Call) -> Outcome:
    """Create a model; its properties are DescribeModel's answer."""
    client = call.world.client("sagemaker")
    try:
        client.create_model(**build(OPERATIONS["Model"], call.arguments, call.name))
        answer = _answer(client.describe_model(ModelName=call.name))
    except ClientError as error:
        raise _failed(error) from None
    call.report({"Model": {"Arn": answer["ModelArn"]}})
    return Outcome(answer)


def register(call: Call) -> Outcome:
    """Create a model package; its properties are DescribeModelPackage's answer.

    A model package group that does not exist is created first: the service's RegisterModel step does so too.
    """
    client = call.world.client("sagemaker")
    group = call.arguments.get("ModelPackageGroupName")
    try:
        if group:
            _ensure_group(client, group)
        arn = client.create_model_package(**call.arguments)["ModelPackageArn"]
        answer = _answer(client.describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        raise _failed(error) from None
    call.report({"RegisterModel": {"Arn": arn}})
    return Outcome(answer)


def _ensure_group(client: Any, name: str) -> None:
    try:
        client.describe_model_package_group(ModelPackageGroupName=name)
    except ClientError:
        # Two steps may register into a new group at the same time; the one that comes second finds it there.
        with contextlib.suppress(ClientError):
            client.create_model_package_group(ModelPackageGroupName=name.rsplit("/", 1)[-1])


def _answer(response: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in response.items() if key != "ResponseMetadata"}


def _failed(error: ClientError) -> StepFailed:
    details = error.response.get("Error", {})
    return StepFailed(f"ClientError: {error.operation_name}: {details.get('Code')}: {details.get('Message')}")
