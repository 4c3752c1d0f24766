"""Each kind of step, with real processes, S3 and registry."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import Any

import pytest
from documents import (
    ACCOUNT,
    BUCKET,
    IMAGE,
    ROLE,
    SERVER_IMAGE,
    compare,
    condition,
    fail,
    get,
    join,
    output_uri,
    parameter,
    pipeline,
    processing,
    property_value,
    register,
    training,
)

from mlops_workbench.sandbox import Sandbox

FUNCTION = f"arn:aws:lambda:ca-central-1:{ACCOUNT}:function:pick"
REPORT = [{"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}]


def writes(document: object, name: str = "report.json") -> str:
    """Return a program that writes a JSON document to the output "out"."""
    return f"open('/opt/ml/processing/out/{name}', 'w').write({json.dumps(document)!r})"


def read(sandbox: Sandbox, uri: str) -> str:
    """Return an object's text."""
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    return sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()


def job_of(step: dict[str, Any]) -> str:
    """Return the job's name out of a step's metadata."""
    (metadata,) = step["Metadata"].values()
    return metadata["Arn"].rsplit("/", 1)[-1]


@pytest.fixture(scope="module")
def function(sandbox: Sandbox) -> str:
    """A Lambda function that answers with what it got, and a few types."""
    answer = "{'text': event['word'], 'count': 3, 'share': 0.5, 'good': True}"
    code = f"def handler(event, context):\n    return {answer}\n"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("pick.py", code)
    principal = {"Service": "lambda.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = sandbox.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sandbox.client("lambda").create_function(
        FunctionName="pick",
        Runtime="python3.12",
        Role=role,
        Handler="pick.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    return FUNCTION


def lambda_step(outputs: dict[str, str], function: str = FUNCTION) -> dict[str, Any]:
    declared = [{"OutputName": name, "OutputType": type_} for name, type_ in outputs.items()]
    arguments = {"word": join("pack", get("Parameters.Word"), on="age")}
    return {
        "Name": "Pick",
        "Type": "Lambda",
        "FunctionArn": function,
        "Arguments": arguments,
        "OutputParameters": declared,
    }


def test_a_processing_step_reads_and_writes_s3(sandbox: Sandbox, run: Any) -> None:
    sandbox.client("s3").put_object(Bucket=BUCKET, Key="raw/words.txt", Body=b"one two")
    code = (
        "import os, sys; text = open('/opt/ml/processing/in/words.txt').read();"
        "open('/opt/ml/processing/out/n', 'w').write(f'{len(text.split())} {sys.argv[1]} "
        '{os.environ["MODE"]}\')'
    )
    step = processing(
        "Count",
        code,
        inputs={"in": f"s3://{BUCKET}/raw"},
        arguments=[get("Parameters.Word")],
        environment={"MODE": get("Parameters.Word")},
    )
    ended = run(pipeline(step, parameters=[parameter("Word", default="default")]), Word="given")
    assert ended.status == "Succeeded"
    execution_id = ended.arn.rsplit("/", 1)[-1]
    assert read(sandbox, f"s3://{BUCKET}/runs/{execution_id}/Count/out/n") == "2 given given"
    job = sandbox.client("sagemaker").describe_processing_job(ProcessingJobName=job_of(ended.steps["Count"]))
    assert job["ProcessingJobStatus"] == "Completed"
    assert job["ProcessingJobName"].startswith(f"pipelines-{execution_id}-Count-")


def test_from_data_to_a_registered_model(sandbox: Sandbox, run: Any) -> None:
    definition = pipeline(
        processing("Prepare", writes({"rows": 3}, "data.json")),
        training(
            "Train",
            "import os, json; rows = json.load(open('/opt/ml/input/data/train/data.json'))['rows'];"
            "open('/opt/ml/model/weights', 'w').write(str(rows))",
            channels={"train": output_uri("Prepare")},
        ),
        processing(
            "Evaluate",
            writes({"metrics": {"accuracy": {"value": 0.9}}}),
            inputs={"model": get("Steps.Train.ModelArtifacts.S3ModelArtifacts")},
            PropertyFiles=REPORT,
        ),
        condition(
            "Gate",
            [
                compare(
                    "GreaterThanOrEqualTo",
                    property_value("Evaluate", "Report", "metrics.accuracy.value"),
                    get("Parameters.Least"),
                )
            ],
            [register("Register", get("Steps.Train.ModelArtifacts.S3ModelArtifacts"), "new-group")],
            [
                fail(
                    "TooLow",
                    join(
                        "accuracy",
                        property_value("Evaluate", "Report", "metrics.accuracy.value"),
                        "is below",
                        get("Parameters.Least"),
                        on=" ",
                    ),
                )
            ],
        ),
        parameters=[parameter("Least", "Float", 0.5)],
    )
    good = run(definition)
    assert good.status == "Succeeded"
    assert list(good.steps) == ["Prepare", "Train", "Evaluate", "Gate", "Register"]
    assert good.steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    arn = good.steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    client = sandbox.client("sagemaker")
    package = client.describe_model_package(ModelPackageName=arn)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    job = client.describe_training_job(TrainingJobName=job_of(good.steps["Train"]))
    container = package["InferenceSpecification"]["Containers"][0]
    assert container["ModelDataUrl"] == job["ModelArtifacts"]["S3ModelArtifacts"]

    bad = run(definition, Least="0.95")
    assert bad.status == "Failed"
    assert bad.reason == "Step 'TooLow' failed: accuracy 0.9 is below 0.95"
    assert bad.steps["TooLow"]["Metadata"] == {"Fail": {"ErrorMessage": "accuracy 0.9 is below 0.95"}}
    assert "Register" not in bad.steps
    assert len(client.list_model_packages(ModelPackageGroupName="new-group")["ModelPackageSummaryList"]) == 1


def test_a_training_job_knows_its_name(run: Any, sandbox: Sandbox) -> None:
    step = training("Train", "import json; print(open('/opt/ml/input/config/hyperparameters.json').read())")
    step["Arguments"]["HyperParameters"] = {"job": get("Execution.TrainingJobName")}
    ended = run(pipeline(step))
    name = job_of(ended.steps["Train"])
    assert name in (sandbox.folder / "jobs" / name / "log.txt").read_text()


def test_a_model_step_creates_a_model(sandbox: Sandbox, run: Any) -> None:
    data = f"s3://{BUCKET}/m.tar.gz"
    sandbox.client("s3").put_object(Bucket=BUCKET, Key="m.tar.gz", Body=b"weights")
    arguments = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": data}}
    use = processing("Use", "import sys; print(sys.argv)", arguments=[get("Steps.Make.ModelName")])
    ended = run(pipeline({"Name": "Make", "Type": "Model", "Arguments": arguments}, use))
    assert ended.status == "Succeeded", ended.reason
    name = job_of(ended.steps["Make"])
    model = sandbox.client("sagemaker").describe_model(ModelName=name)
    assert model["PrimaryContainer"]["ModelDataUrl"] == data
    log = sandbox.folder / "jobs" / job_of(ended.steps["Use"]) / "log.txt"
    assert name in log.read_text()


def test_a_transform_step_uses_a_model_of_the_same_pipeline(sandbox: Sandbox, run: Any) -> None:
    client = sandbox.client("s3")
    client.put_object(Bucket=BUCKET, Key="batch/in.txt", Body=b"hello")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz"):
        pass
    client.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=packed.getvalue())
    container = {"Image": SERVER_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/batch/"}}
    to = join(f"s3://{BUCKET}/answers", get("Execution.PipelineExecutionId"))
    transform = {
        "ModelName": get("Steps.Make.ModelName"),
        "TransformInput": {"DataSource": source, "ContentType": "text/plain"},
        "TransformOutput": {"S3OutputPath": to},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    read = "print('answer:', open('/opt/ml/processing/in/in.txt.out').read())"
    ended = run(
        pipeline(
            {
                "Name": "Make",
                "Type": "Model",
                "Arguments": {"ExecutionRoleArn": ROLE, "PrimaryContainer": container},
            },
            {"Name": "Shout", "Type": "Transform", "Arguments": transform},
            processing(
                "Read", read, inputs={"in": get("Steps.Shout.TransformOutput.S3OutputPath")}, outputs={}
            ),
        )
    )
    assert ended.status == "Succeeded", ended.reason
    assert "answer: HELLO" in (sandbox.folder / "jobs" / job_of(ended.steps["Read"]) / "log.txt").read_text()


def test_a_lambda_steps_outputs_are_typed(run: Any, function: str) -> None:
    outputs = {"text": "String", "count": "Integer", "share": "Float", "good": "Boolean"}
    gate = condition(
        "Gate",
        [
            compare("Equals", get("Steps.Pick.OutputParameters['text']"), "packages"),
            compare("GreaterThan", get("Steps.Pick.OutputParameters['count']"), 2),
            compare("Equals", get("Steps.Pick.OutputParameters['good']"), True),
        ],
        [fail("Reached", "yes")],
    )
    ended = run(pipeline(lambda_step(outputs), gate, parameters=[parameter("Word", default="s")]))
    assert ended.reason == "Step 'Reached' failed: yes"
    metadata = ended.steps["Pick"]["Metadata"]["Lambda"]
    assert metadata["Arn"] == function
    assert {"Name": "good", "Value": "true"} in metadata["OutputParameters"]


def test_a_lambda_output_that_is_missing_or_of_another_type_fails_the_step(run: Any, function: str) -> None:
    declared = [parameter("Word", default="s")]
    missing = run(pipeline(lambda_step({"size": "Integer"}), parameters=declared))
    assert "the function's answer has no 'size'; it has text, count, share, good" in missing.reason
    wrong = run(pipeline(lambda_step({"good": "Integer"}), parameters=declared))
    assert "good: expected the type Integer, got True" in wrong.reason


def test_a_lambda_function_that_does_not_exist_fails_the_step(run: Any) -> None:
    step = lambda_step({}, FUNCTION.replace("pick", "nobody"))
    ended = run(pipeline(step, parameters=[parameter("Word", default="s")]))
    assert ended.statuses() == {"Pick": "Failed"}
    assert "nobody" in ended.reason


def test_json_in_s3_is_read(run: Any, sandbox: Sandbox) -> None:
    sandbox.client("s3").put_object(Bucket=BUCKET, Key="conf.json", Body=b'{"a": [{"b": "x"}]}')
    value = {"Std:JsonGet": {"S3Uri": join(f"s3://{BUCKET}", "conf.json"), "Path": "a[0].b"}}
    ended = run(pipeline(condition("Gate", [compare("Equals", value, "x")], [fail("Yes", "reached")])))
    assert ended.reason == "Step 'Yes' failed: reached"


@pytest.mark.parametrize(
    ("code", "path", "message"),
    [
        ("pass", "x", "cannot read s3://pipeline-tests/runs/"),
        (writes({"a": 1}), "b", 'no "b"; known: a'),
        ("open('/opt/ml/processing/out/report.json', 'w').write('{')", "b", "is not JSON"),
    ],
)
def test_a_property_that_is_not_there_fails_the_step_that_wants_it(
    run: Any, code: str, path: str, message: str
) -> None:
    gate = condition("Gate", [compare("Equals", property_value("Evaluate", "Report", path), 1)])
    ended = run(pipeline(processing("Evaluate", code, PropertyFiles=REPORT), gate))
    assert ended.statuses() == {"Evaluate": "Succeeded", "Gate": "Failed"}
    assert ended.reason.startswith("Step 'Gate' failed: Std:JsonGet")
    assert message in ended.reason


def test_a_request_that_becomes_bad_while_running_fails_the_step(run: Any) -> None:
    # The value is known only once Evaluate has run, so nothing could be said before.
    step = processing("Use", arguments=[property_value("Evaluate", "Report", "value")])
    ended = run(pipeline(processing("Evaluate", writes({"value": 3}), PropertyFiles=REPORT), step))
    assert ended.statuses()["Use"] == "Failed"
    assert "AppSpecification.ContainerArguments[0]: expected a string, got 3 (int)" in ended.reason


def test_the_same_group_may_be_made_by_two_steps_at_once(run: Any, sandbox: Sandbox) -> None:
    steps = [register(f"R{number}", "s3://b/m.tar.gz", "both") for number in range(4)]
    assert run(pipeline(*steps)).status == "Succeeded"
    packages = sandbox.client("sagemaker").list_model_packages(ModelPackageGroupName="both")
    assert {p["ModelPackageVersion"] for p in packages["ModelPackageSummaryList"]} == {1, 2, 3, 4}
