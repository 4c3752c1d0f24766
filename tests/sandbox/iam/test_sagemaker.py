"""SageMaker where roles are enforced: a pipeline's role starts jobs, a job's role reads and writes for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.sandbox.iam.world import REGION, A, World, allow, refusal, trust
from tests.waiting import wait_for

IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/tiny:1"
SAGEMAKER = trust({"Service": "sagemaker.amazonaws.com"})
JOBS = f"arn:aws:sagemaker:{REGION}:{A}:processing-job/pipelines-*"
CODE = (
    "import boto3; boto3.client('s3').list_objects_v2(Bucket='data', Prefix='in/'); "
    "open('/opt/ml/processing/out/x', 'w').write(open('/opt/ml/processing/in/a').read())"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("access")
    with Sandbox(folder, Images.single(sys.executable), accounts=(A,), enforce_iam=True) as sandbox:
        made = World(sandbox)
        made.bucket("data").put_object(Bucket="data", Key="in/a", Body=b"text")
        made.role("job", AssumeRolePolicyDocument=SAGEMAKER)
        made.role("pipeline", AssumeRolePolicyDocument=SAGEMAKER)
        yield made


def arn(role: str) -> str:
    return f"arn:aws:iam::{A}:role/{role}"


PIPELINE = (
    allow("sagemaker:CreateProcessingJob", JOBS),
    allow(
        "iam:PassRole",
        arn("job"),
        Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
)
JOB = (
    allow("s3:ListBucket", "arn:aws:s3:::data"),
    allow("s3:GetObject", "arn:aws:s3:::data/in/*"),
    allow("s3:PutObject", "arn:aws:s3:::data/out/*"),
    allow(
        ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        f"arn:aws:ecr:{REGION}:763104351884:repository/tiny",
    ),
)


def request() -> dict[str, Any]:
    """CreateProcessingJob's, without a name."""
    place = {"LocalPath": "/opt/ml/processing/out", "S3UploadMode": "EndOfJob"}
    given = {"LocalPath": "/opt/ml/processing/in", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {
        "RoleArn": arn("job"),
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", CODE]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "ProcessingInputs": [{"InputName": "in", "S3Input": {"S3Uri": "s3://data/in/", **given}}],
        "ProcessingOutputConfig": {
            "Outputs": [{"OutputName": "out", "S3Output": {"S3Uri": "s3://data/out", **place}}]
        },
    }


def run(world: World) -> dict[str, Any]:
    """Run a pipeline of this one job to its end; returns its step."""
    client = world.admin("sagemaker")
    step = {"Name": "Copy", "Type": "Processing", "Arguments": request()}
    definition = json.dumps({"Version": "2020-12-01", "Steps": [step]})
    if not client.list_pipelines()["PipelineSummaries"]:
        client.create_pipeline(
            PipelineName="p",
            PipelineDefinition=definition,
            RoleArn=arn("pipeline"),
            ClientRequestToken="t" * 32,
        )
    started = client.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]

    def status() -> str:
        described = client.describe_pipeline_execution(PipelineExecutionArn=started)
        return str(described["PipelineExecutionStatus"])

    wait_for(lambda: status() not in ("Executing", "Stopping"), status)
    (step,) = client.list_pipeline_execution_steps(PipelineExecutionArn=started)["PipelineExecutionSteps"]
    return dict(step)


def test_with_what_it_needs_the_job_runs(world: World) -> None:
    world.allow("pipeline", *PIPELINE)
    world.allow("job", *JOB)
    step = run(world)
    assert step["StepStatus"] == "Succeeded", step
    body = world.admin("s3").get_object(Bucket="data", Key="out/x")["Body"].read()
    assert body == b"text"


@pytest.mark.parametrize(
    ("pipeline", "job", "words"),
    [
        (PIPELINE[1:], JOB, "sagemaker:CreateProcessingJob"),
        (PIPELINE[:1], JOB, "iam:PassRole"),
        (
            (allow("sagemaker:*", f"arn:aws:sagemaker:{REGION}:{A}:training-job/*"),),
            JOB,
            "CreateProcessingJob",
        ),
        (PIPELINE, (JOB[0], *JOB[2:]), "cannot read s3://data/in/a"),  # HEAD has no body that could say why
        (PIPELINE, (*JOB[:2], *JOB[3:]), "s3:PutObject"),
        (PIPELINE, JOB[1:], "s3:ListBucket"),
        (PIPELINE, JOB[:3], "ecr:BatchCheckLayerAvailability"),
    ],
)
def test_a_forgotten_permission_fails_the_step_and_is_named(
    world: World, pipeline: tuple[Any, ...], job: tuple[Any, ...], words: str
) -> None:
    world.allow("pipeline", *pipeline)
    world.allow("job", *job)
    step = run(world)
    assert step["StepStatus"] == "Failed" and words in step["FailureReason"], step


def test_a_role_that_does_not_trust_sagemaker_is_refused(world: World) -> None:
    world.role("stranger", *JOB)
    asked = {**request(), "ProcessingJobName": "by-hand", "RoleArn": arn("stranger")}
    said = refusal(world.admin("sagemaker").create_processing_job, **asked)
    assert "Could not assume role" in said and "stranger" in said
