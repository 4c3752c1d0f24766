"""What the tests of endpoints share: a model with a script of its own, served by the real handler or lean."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from mlops_workbench.sandbox import Sandbox
from tests.waiting import FOREVER, wait_for

A, B = "111111111111", "222222222222"
REGION = "ca-central-1"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu"
BUCKET = "models"
#: Answers with its own name; waits (for a file named go in a folder), fails and ends when the text says so.
INFERENCE = """
import os, time, uuid

def model_fn(model_dir, context):
    print("loading", open(os.path.join(model_dir, "name")).read())
    return open(os.path.join(model_dir, "name")).read()

def input_fn(data, content_type, context):
    return data.decode() if isinstance(data, (bytes, bytearray)) else data

def predict_fn(data, model, context):
    word, _, argument = data.partition(" ")
    if word == "wait":
        open(os.path.join(argument, uuid.uuid4().hex), "w").close()
        while not os.path.exists(os.path.join(argument, "go")):
            time.sleep(0.02)
    if word == "raise":
        raise RuntimeError("the furnace is " + argument)
    if word == "exit":
        os._exit(7)
    if word == "attributes":
        headers = context.request_processor[0]
        given = headers.get_request_property("X-Amzn-SageMaker-Custom-Attributes")
        headers.add_response_property("X-Amzn-SageMaker-Custom-Attributes", "back: " + given)
    if word == "variable":
        return os.environ.get(argument, "none")
    return f"{model}: {data}"

def output_fn(prediction, accept, context):
    return prediction
"""

#: Calls INFERENCE as the toolkit does, without the PyTorch and transformers that the toolkit imports first.
SERVICE = """
import importlib
from mms.service import PredictionException

inference, model = importlib.import_module("inference"), None

def handle(data, context):
    global model
    if data is None:
        model = inference.model_fn(context.system_properties["model_dir"], context)
        return None
    headers = context.request_processor[0].get_request_properties()
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    try:
        request = inference.input_fn(data[0]["body"], content_type, context)
        return [inference.output_fn(inference.predict_fn(request, model, context), None, context)]
    except Exception as error:
        raise PredictionException(str(error), 400) from error
"""
OF_THE_MODEL = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
#: A package's variables for the service above, and for the image's own, the toolkit's.
LEAN = {**OF_THE_MODEL, "MMS_DEFAULT_SERVICE_HANDLER": "service:handle"}
TOOLKIT = OF_THE_MODEL


def tar(files: dict[str, str]) -> bytes:
    """A .tar.gz of files, by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@dataclass
class Endpoints:
    """An account with short ways to make models and endpoints."""

    sandbox: Sandbox
    account: str = A
    role: str = f"arn:aws:iam::{A}:role/serving"

    @property
    def sagemaker(self) -> Any:
        return self.sandbox.client("sagemaker", self.account)

    def runtime(self, account: str | None = None) -> Any:
        """A client that tries once, so that a test sees what the first answer was."""
        keys = self.sandbox.environment(account or self.account)
        return boto3.client(
            "sagemaker-runtime",
            region_name=REGION,
            endpoint_url=self.sandbox.endpoint_url,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=FOREVER, max_pool_connections=64, proxies={}
            ),
        )

    def bucket(self) -> Any:
        s3 = self.sandbox.client("s3", A)
        if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        return s3

    def package(
        self, name: str, script: str = INFERENCE, approval: str = "Approved", **container: Any
    ) -> str:
        """Register a model that answers with its name; returns the package's ARN."""
        client = self.sandbox.client("sagemaker", A)
        groups = client.list_model_package_groups()["ModelPackageGroupSummaryList"]
        if not groups:
            client.create_model_package_group(ModelPackageGroupName="group")
        files = {"name": name, "code/inference.py": script, "code/service.py": SERVICE}
        self.bucket().put_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz", Body=tar(files))
        given = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/{name}/model.tar.gz",
            "Environment": LEAN,
            **container,
        }
        types = ["text/plain"]
        arn: str = client.create_model_package(
            ModelPackageGroupName="group",
            ModelApprovalStatus=approval,
            InferenceSpecification={
                "Containers": [given],
                "SupportedContentTypes": types,
                "SupportedResponseMIMETypes": types,
            },
        )["ModelPackageArn"]
        return arn

    def config(self, name: str, package: str, role: str | None = None, **serverless: int) -> str:
        """Make a model and a configuration of one name."""
        self.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"ModelPackageName": package},
            ExecutionRoleArn=role or self.role,
        )
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant(name, **serverless)]
        )
        return name

    def create(self, name: str, config: str, status: str = "InService") -> dict[str, Any]:
        """Make an endpoint and wait for a status."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        return self.wait(name, status)

    def wait(self, name: str, status: str = "InService") -> dict[str, Any]:
        """Wait until an endpoint is not in between any more; returns its description."""

        def settled() -> dict[str, Any] | None:
            described: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
            between = described["EndpointStatus"] in ("Creating", "Updating", "Deleting")
            return None if between else described

        described = wait_for(settled)
        assert described is not None
        assert described["EndpointStatus"] == status, described
        return described

    def ask(self, name: str, text: str = "hello", **more: Any) -> str:
        answer = self.runtime().invoke_endpoint(
            EndpointName=name, Body=text.encode(), ContentType="text/plain", **more
        )
        body: bytes = answer["Body"].read()
        return body.decode()


def variant(model: str, **serverless: int) -> dict[str, Any]:
    """A serverless variant of 2 GB and 5 requests at a time, unless told otherwise."""
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 5, **serverless}
    return {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": config}


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that run for a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found
