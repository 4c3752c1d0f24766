"""A pipeline that answers a file: Lambda, Processing, Condition, Model (of a package) and Transform steps."""

import json
import sys

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox.images import Images
from tests.sandbox.services.events.support import make_function, make_role
from tests.sandbox.services.sagemaker.jobs.support import ROLE, server_images
from tests.waiting import wait_for

#: Answers with the text and a variable of the model's.
ANSWER = """
import json, os
def answer(body, headers):
    texts = [json.loads(line)["inputs"] for line in body.decode().splitlines()]
    return "\\n".join(json.dumps([{"label": text, "word": os.environ["WORD"]}]) for text in texts).encode()
"""
BEGIN = "def handler(event, context):\n    return {'ModelPackageArn': event['package'], 'Count': 2}\n"
#: Writes two parts of requests, and a report of how many there are.
NORMALISE = """
import json, os, sys
out = "/opt/ml/processing/output"
for part in (0, 1):
    with open(f"{out}/requests/part-{part}.jsonl", "w") as file:
        file.write(json.dumps({"id": part, "inputs": sys.argv[1], "parameters": {"top_k": 1}}) + "\\n")
json.dump({"asked": 2}, open(f"{out}/report/report.json", "w"))
"""


@pytest.fixture
def images(tmp_path):
    (server,) = server_images(tmp_path).entries
    path = tmp_path / "sandbox.toml"
    path.write_text(
        f'[[image]]\nmatch = "server"\npython = "{server.python}"\n'
        f'[[image]]\nmatch = "tiny"\npython = "{sys.executable}"\n'
    )
    return Images.load(path)


def get(path):
    return {"Get": path}


def work(bucket, *rest):
    """The URI of a folder of this execution's."""
    values = ["s3:/", bucket.name, "work", get("Execution.PipelineExecutionId"), *rest]
    return {"Std:Join": {"On": "/", "Values": values}}


def definition(bucket, function, filter_="$['id','SageMakerOutput']"):
    outputs = [
        {
            "OutputName": name,
            "S3Output": {
                "S3Uri": work(bucket, name),
                "LocalPath": f"/opt/ml/processing/output/{name}",
                "S3UploadMode": "EndOfJob",
            },
        }
        for name in ("requests", "report")
    ]
    code = {"S3Uri": bucket.uri("code"), "S3DataType": "S3Prefix", "S3InputMode": "File"}
    normalise = {
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": "example.test/tiny:1",
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/normalise.py"],
            "ContainerArguments": [get("Parameters.Key")],
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "ProcessingInputs": [
            {"InputName": "code", "S3Input": {**code, "LocalPath": "/opt/ml/processing/input/code"}}
        ],
        "ProcessingOutputConfig": {"Outputs": outputs},
    }
    container = {
        "ModelPackageName": get("Steps.Begin.OutputParameters['ModelPackageArn']"),
        "Environment": {"WORD": "seen"},
    }
    source = {"S3DataType": "S3Prefix", "S3Uri": work(bucket, "requests")}
    transform = {
        "ModelName": get("Steps.CreateModel.ModelName"),
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 1,
        "MaxConcurrentTransforms": 2,
        "ModelClientConfig": {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
            "CompressionType": "None",
        },
        "TransformOutput": {
            "S3OutputPath": work(bucket, "answers"),
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
        "DataProcessing": {"InputFilter": "$", "JoinSource": "Input", "OutputFilter": filter_},
    }
    report = {"PropertyFile": get("Steps.Normalise.PropertyFiles.Report"), "Path": "asked"}
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    asked = {
        "Type": "GreaterThanOrEqualTo",
        "LeftValue": {"Std:JsonGet": report},
        "RightValue": get("Steps.Begin.OutputParameters['Count']"),
    }
    return {
        "Version": "2020-12-01",
        "Parameters": [{"Name": name, "Type": "String"} for name in ("Package", "Key")],
        "Steps": [
            {
                "Name": "Begin",
                "Type": "Lambda",
                "FunctionArn": function,
                "Arguments": {"package": get("Parameters.Package")},
                "OutputParameters": [
                    {"OutputName": "ModelPackageArn", "OutputType": "String"},
                    {"OutputName": "Count", "OutputType": "Integer"},
                ],
            },
            {
                "Name": "Normalise",
                "Type": "Processing",
                "Arguments": normalise,
                "DependsOn": ["Begin"],
                "PropertyFiles": [
                    {"PropertyFileName": "Report", "OutputName": "report", "FilePath": "report.json"}
                ],
            },
            {
                "Name": "AnyText",
                "Type": "Condition",
                "Arguments": {
                    "Conditions": [asked],
                    "IfSteps": [
                        {"Name": "CreateModel", "Type": "Model", "Arguments": model},
                        {"Name": "Transform", "Type": "Transform", "Arguments": transform},
                    ],
                    "ElseSteps": [],
                },
            },
        ],
    }


@pytest.fixture
def function(sandbox):
    return make_function(sandbox, BEGIN, "begin")


@pytest.fixture
def package(sandbox, bucket, make_archive):
    """The ARN of an approved version."""
    sagemaker = sandbox.client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    container = {
        "Image": "example.test/server:1",
        "ModelDataUrl": bucket.put("model.tar.gz", make_archive({"answer.py": ANSWER})),
        "Environment": {"WORD": "the package's"},
    }
    types = ["application/jsonlines"]
    return sagemaker.create_model_package(
        ModelPackageGroupName="group", ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [container], "SupportedContentTypes": types, "SupportedResponseMIMETypes": types
        },
    )["ModelPackageArn"]  # fmt: skip


def start(sandbox, document, **parameters):
    sagemaker = sandbox.client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName="batch", PipelineDefinition=json.dumps(document), ClientRequestToken="0" * 32,
        RoleArn=make_role(sandbox, "batch", "sagemaker.amazonaws.com"),
    )  # fmt: skip
    given = [{"Name": name, "Value": value} for name, value in parameters.items()]
    return sagemaker.start_pipeline_execution(PipelineName="batch", PipelineParameters=given)[
        "PipelineExecutionArn"
    ]


def test_the_answers_of_an_execution_lie_in_its_own_folder(sandbox, bucket, function, package):
    bucket.put("code/normalise.py", NORMALISE)
    arn = start(sandbox, definition(bucket, function), Package=package, Key="input/ü ö.csv")
    client = sandbox.client("sagemaker")

    def ended():
        found = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        return found if found["PipelineExecutionStatus"] != "Executing" else None

    found = wait_for(ended)
    assert found["PipelineExecutionStatus"] == "Succeeded", found
    folder = f"work/{arn.rsplit('/', 1)[-1]}/answers/"
    assert bucket.keys(folder) == [f"{folder}part-0.jsonl.out", f"{folder}part-1.jsonl.out"]
    for part in (0, 1):
        assert json.loads(bucket.get(f"{folder}part-{part}.jsonl.out")) == {
            "id": part,
            "SageMakerOutput": [{"label": "input/ü ö.csv", "word": "seen"}],
        }
    (job,) = client.list_transform_jobs()["TransformJobSummaries"]
    described = client.describe_transform_job(TransformJobName=job["TransformJobName"])
    assert described["DataProcessing"]["OutputFilter"] == "$['id','SageMakerOutput']"
    assert described["TransformOutput"]["S3OutputPath"] == bucket.uri(folder.rstrip("/"))


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        ("$..id", r"step 'Transform': .*DataProcessing\.OutputFilter: Invalid JsonPath"),
        (
            "$['" + "x" * 60 + "']",
            r"step 'Transform': .*OutputFilter: expected at most 63 characters, got 65",
        ),
    ],
)
def test_a_filter_that_the_service_refuses_starts_nothing(
    sandbox, bucket, function, package, filter_, message
):
    with pytest.raises(ClientError, match=message):
        start(sandbox, definition(bucket, function, filter_), Package=package, Key="k")
    assert bucket.keys("work/") == []


def test_the_names_of_a_lambda_steps_outputs_are_checked(sandbox, bucket, function, package):
    document = definition(bucket, function)
    document["Steps"][0]["OutputParameters"].pop(0)
    with pytest.raises(ClientError, match="the step declares no output 'ModelPackageArn'"):
        start(sandbox, document, Package=package, Key="k")
