"""A definition is read whole, all that is wrong is said at once, and what the SDK builds runs."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from documents import (
    BUCKET,
    IMAGE,
    ROLE,
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
    text,
    training,
)

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services.sagemaker.pipelines.definition import parse
from mlops_workbench.sandbox.services.sagemaker.pipelines.model import DefinitionError

TRUE = compare("Equals", 1, 1)


def problems(document: Any) -> list[str]:
    """Return what is wrong with a definition, a line each."""
    with pytest.raises(DefinitionError) as caught:
        parse(document if isinstance(document, str | bytes) else json.dumps(document))
    return [str(problem) for problem in caught.value.problems]


def test_steps_are_flattened_in_the_order_of_the_document() -> None:
    """Branches included; each step knows the conditions around it."""
    inner = condition("Inner", [TRUE], [processing("Deep")])
    definition = parse(
        text(pipeline(processing("A"), condition("Gate", [TRUE], [inner], [fail("No", "no")])))
    )
    assert list(definition.steps) == ["A", "Gate", "Inner", "Deep", "No"]
    assert definition.steps["Deep"].inside == (("Gate", "IfSteps"), ("Inner", "IfSteps"))
    assert definition.steps["No"].inside == (("Gate", "ElseSteps"),)


def test_what_sdk_writes_without_use_is_accepted() -> None:
    """sagemaker 3.27.0 writes these keys with null in every definition."""
    parse(text(pipeline(processing("A"), PipelineExperimentConfig=None, MlflowConfig=None)))


def test_a_plain_completed_dependency_may_be_written_as_an_object() -> None:
    """The long form of sagemaker 3.27.0's StepDependency."""
    step = processing("B", DependsOn=[{"Step": "A", "Trigger": "Completed"}])
    assert parse(text(pipeline(processing("A"), step))).steps["B"].depends_on == ("A",)


BAD: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "definition: not JSON: Expecting property name"),
    "not an object": ("[]", "definition: expected an object, got a list"),
    "wrong version": (
        pipeline(processing("A")) | {"Version": "2021-01-01"},
        "Version: expected \"2020-12-01\", got '2021-01-01'",
    ),
    "unknown top key": (
        pipeline(processing("A"), Stepss=[]),
        'Stepss: unknown key; did you mean "Steps"?',
    ),
    "no steps": (pipeline(), "Steps: expected at least one step, found none"),
    "steps of another type": (
        {"Version": "2020-12-01", "Steps": {}},
        "Steps: expected a list of steps, got an object",
    ),
    "unknown step type": (
        pipeline({"Name": "A", "Type": "Procesing", "Arguments": {}}),
        "step 'A': Type: unknown step type 'Procesing'; did you mean \"Processing\"?",
    ),
    "step type not executed": (
        pipeline({"Name": "A", "Type": "Tuning", "Arguments": {}}),
        "step 'A': Type: SageMaker has Tuning steps, the sandbox does not execute them; "
        "executed are Processing,",
    ),
    "bad step name": (
        pipeline({"Name": "A b", "Type": "Fail", "Arguments": {}}),
        "Steps[0].Name: expected 1 to 64 of A-Z a-z 0-9 - _, got 'A b'",
    ),
    "duplicate step name, one in a branch": (
        pipeline(processing("A"), condition("C", [TRUE], [fail("A", "x")])),
        "step 'A': two steps have this name; names must be unique, branches included",
    ),
    "unknown step key": (
        pipeline(processing("A", Cacheconfig={})),
        "step 'A': Cacheconfig: unknown key for a Processing step; did you mean \"CacheConfig\"?",
    ),
    "dangling step": (
        pipeline(processing("Prepare"), processing("B", inputs={"in": output_uri("Prepar")})),
        "step 'B': Arguments.ProcessingInputs[0].S3Input.S3Uri: Steps.Prepar: the pipeline has no such step; "
        'did you mean "Prepare"?',
    ),
    "dangling output": (
        pipeline(processing("A"), processing("B", inputs={"in": output_uri("A", "train")})),
        "step 'B': Arguments.ProcessingInputs[0].S3Input.S3Uri: Steps.A.ProcessingOutputConfig.Outputs: "
        "no item named 'train'; known: out",
    ),
    "dangling property": (
        pipeline(training("T", "pass"), register("R", get("Steps.T.ModelArtifact.S3ModelArtifacts"))),
        "step 'R': Arguments.InferenceSpecification.Containers[0].ModelDataUrl: Steps.T: DescribeTrainingJob "
        'answers no "ModelArtifact"; did you mean "ModelArtifacts"?',
    ),
    "property of a Fail step": (
        pipeline(fail("F", "x"), processing("B", arguments=[get("Steps.F.ErrorMessage")])),
        "step 'B': Arguments.AppSpecification.ContainerArguments[0]: Steps.F: no property 'ErrorMessage': "
        "a Fail step has none",
    ),
    "dangling parameter": (
        pipeline(processing("A", arguments=[get("Parameters.Epoch")]), parameters=[parameter("Epochs")]),
        "step 'A': Arguments.AppSpecification.ContainerArguments[0]: Parameters.Epoch: the "
        "pipeline declares no "
        'such parameter; did you mean "Epochs"?',
    ),
    "dangling execution variable": (
        pipeline(processing("A", arguments=[get("Execution.PipelineExecutionID")])),
        "step 'A': Arguments.AppSpecification.ContainerArguments[0]: "
        "Execution.PipelineExecutionID: there is no such "
        'execution variable; did you mean "PipelineExecutionId"?',
    ),
    "another step's job name": (
        pipeline(processing("A", arguments=[get("Execution.TrainingJobName")])),
        "Execution.TrainingJobName: it has a value in Training steps only",
    ),
    "dangling property file": (
        pipeline(processing("A"), condition("C", [compare("Equals", property_value("A", "Report", "x"), 1)])),
        "step 'C': Arguments.Conditions[0].LeftValue: Steps.A.PropertyFiles.Report: the step "
        "declares no such "
        "property file; it declares none",
    ),
    "property file of an output that is not there": (
        pipeline(
            processing(
                "A", PropertyFiles=[{"PropertyFileName": "R", "OutputName": "report", "FilePath": "r.json"}]
            )
        ),
        "step 'A': PropertyFiles 'R': the step has no output 'report'; known: out",
    ),
    "dangling DependsOn": (
        pipeline(processing("A", DependsOn=["Z"])),
        "step 'A': DependsOn: the pipeline has no step 'Z'; known: A",
    ),
    "run condition": (
        pipeline(processing("A"), processing("B", DependsOn=[{"Step": "A", "Trigger": "Failed"}])),
        "step 'B': DependsOn[0]: run condition 'Failed': the sandbox runs steps after Completed ones only",
    ),
    "cyclic dependency": (
        pipeline(
            processing("A", inputs={"in": output_uri("C")}),
            processing("B", inputs={"in": output_uri("A")}),
            processing("C", DependsOn=["B"]),
        ),
        "Steps: cyclic dependency: A -> C -> B -> A (each waits for the next)",
    ),
    "a condition that waits for its own branch": (
        pipeline(
            condition("C", [compare("Equals", get("Steps.A.ProcessingJobName"), "x")], [processing("A")])
        ),
        "Steps: cyclic dependency: C -> A -> C",
    ),
    "needs both branches": (
        pipeline(
            condition("C", [TRUE], [processing("A")], [processing("B")]),
            processing("D", inputs={"a": output_uri("A"), "b": output_uri("B")}),
        ),
        "step 'D': can never run: it needs both branches of condition 'C', of which only one is taken; "
        'to run after either, use DependsOn: ["C"]',
    ),
    "the other branch": (
        pipeline(condition("C", [TRUE], [processing("A")], [processing("B", inputs={"a": output_uri("A")})])),
        "step 'B': can never run: it needs both branches of condition 'C'",
    ),
    "malformed Get": (
        pipeline(processing("A", arguments=[get("Epochs")], DependsOn=[])),
        "step 'A': Arguments.AppSpecification.ContainerArguments[0]: Get: expected a path "
        "such as Parameters.NAME",
    ),
    "malformed Join": (
        pipeline(processing("A", arguments=[{"Std:Join": {"Values": ["a"]}}])),
        "step 'A': Arguments.AppSpecification.ContainerArguments[0]: Std:Join: expected On "
        "and a list of Values",
    ),
    "malformed JsonGet": (
        pipeline(processing("A", arguments=[{"Std:JsonGet": {"Path": "x"}}])),
        "Std:JsonGet: expected Path and one of PropertyFile and S3Uri",
    ),
    "unknown condition": (
        pipeline(condition("C", [compare("GreaterThanOrEqual", 1, 1)])),
        "step 'C': Arguments.Conditions[0].Type: unknown condition 'GreaterThanOrEqual'; "
        'did you mean "GreaterThanOrEqualTo"?',
    ),
    "And": (
        pipeline(condition("C", [{"Type": "And", "Conditions": [TRUE]}])),
        "step 'C': Arguments.Conditions[0].Type: there is no \"And\"",
    ),
    "Not with the key that the service refuses": (
        pipeline(condition("C", [{"Type": "Not", "Condition": TRUE, "Expression": TRUE}])),
        "step 'C': Arguments.Conditions[0]: Not: unknown key Expression; known: Condition",
    ),
    "no conditions": (
        pipeline(condition("C", [])),
        "step 'C': Arguments.Conditions: expected a list of at least one condition, got []",
    ),
    "duplicate parameter": (
        pipeline(processing("A"), parameters=[parameter("P"), parameter("P")]),
        "parameter 'P': declared twice; names must be unique",
    ),
    "parameter type": (
        pipeline(processing("A"), parameters=[parameter("P", "Int")]),
        "parameter 'P': Type: expected one of String, Integer, Float, Boolean, got 'Int'",
    ),
    "default of another type": (
        pipeline(processing("A"), parameters=[parameter("P", "Integer", "3")]),
        "parameter 'P': DefaultValue: expected a whole number, got '3'",
    ),
    "default outside the enum": (
        pipeline(processing("A"), parameters=[parameter("P", default="x", enum=["a", "b"])]),
        "parameter 'P': DefaultValue: expected one of a, b, got 'x'",
    ),
    "cache duration": (
        pipeline(processing("A", CacheConfig={"Enabled": True, "ExpireAfter": "30 days"})),
        "step 'A': CacheConfig.ExpireAfter: expected an ISO 8601 duration such as \"P30D\" or "
        "\"PT12H\", got '30 days'",
    ),
    "retry exception": (
        pipeline(
            processing("A", RetryPolicies=[{"ExceptionType": ["SageMaker.JOB_ERROR"], "MaxAttempts": 2}])
        ),
        "step 'A': RetryPolicies[0].ExceptionType: unknown exception type 'SageMaker.JOB_ERROR'; "
        'did you mean "SageMaker.JOB_INTERNAL_ERROR"?',
    ),
    "two retry limits": (
        pipeline(
            processing(
                "A",
                RetryPolicies=[{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": 2, "ExpireAfterMin": 5}],
            )
        ),
        "step 'A': RetryPolicies[0]: expected one of MaxAttempts and ExpireAfterMin, got both",
    ),
    "Lambda without a function": (
        pipeline({"Name": "L", "Type": "Lambda", "Arguments": {}}),
        "step 'L': FunctionArn: expected the function's ARN, found nothing",
    ),
    "Lambda output that is not declared": (
        pipeline(
            {
                "Name": "L",
                "Type": "Lambda",
                "FunctionArn": "arn:aws:lambda:ca-central-1:111111111111:function:f",
                "Arguments": {},
                "OutputParameters": [{"OutputName": "arn", "OutputType": "String"}],
            },
            processing("B", arguments=[get("Steps.L.OutputParameters['Arn']")]),
        ),
        "Steps.L: the step declares no output 'Arn'; did you mean \"arn\"?",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_definition_has_a_message_of_its_own(name: str) -> None:
    """One mistake gives one message, which says where it is, what was expected and what was found."""
    document, message = BAD[name]
    found = problems(document)
    assert len(found) == 1, found
    assert message in found[0]
    assert "\n" not in found[0]


def test_every_problem_is_reported_at_once() -> None:
    """Problems of structure and of references come together."""
    document = pipeline(
        processing("A", arguments=[get("Parameters.Nope"), join(get("Steps.Nope.X"))]),
        {"Name": "B", "Type": "Magic", "Arguments": {}},
        processing("C", DependsOn=["B"]),
        parameters=[parameter("P", "Integer", 1.5)],
    )
    found = problems(document)
    assert [line.split(":")[0] for line in found] == ["parameter 'P'", "step 'B'", "step 'A'", "step 'A'"]


def test_a_definition_longer_than_the_service_takes_is_refused() -> None:
    """1,048,576 characters inline."""
    assert "at most 1,048,576 characters" in problems(" " * 1_048_577)[0]


def test_deep_nesting_is_refused_not_a_crash() -> None:
    """The JSON parser's own limit becomes a message."""
    assert "not JSON" in problems("[" * 100_000)[0]


STORED = Path(__file__).with_name("sdk_3_27_0.json")
SCRIPT = """\
import json, sys
json.dump({"metrics": {"share": int(sys.argv[1]) / 4}}, open("/opt/ml/processing/out/r.json", "w"))
"""
TRAIN = """\
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
epochs = parser.parse_args().epochs
open(os.environ["SM_MODEL_DIR"] + "/epochs", "w").write(str(epochs))
"""


@pytest.fixture
def code(sandbox: Sandbox) -> None:
    """The scripts, where the stored definition expects them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("train.py")
        info.size = len(TRAIN)
        archive.addfile(info, io.BytesIO(TRAIN.encode()))
    client = sandbox.client("s3")
    client.put_object(Bucket=BUCKET, Key="code/sourcedir.tar.gz", Body=packed.getvalue())
    (count,) = (step for step in json.loads(STORED.read_text())["Steps"] if step["Name"] == "Count")
    uri = count["Arguments"]["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    client.put_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"), Body=SCRIPT.encode())


@pytest.mark.usefixtures("code")
def test_what_the_sdk_builds_runs(run: Any) -> None:
    definition = json.loads(STORED.read_text())
    good = run(definition)
    assert good.status == "Succeeded", good.reason
    assert good.statuses() == {"Count": "Succeeded", "Train": "Succeeded", "Gate": "Succeeded"}
    bad = run(definition, Least="0.8")
    assert bad.reason == "Step 'TooFew' failed: the share 0.75 is below 0.8"
    assert "CacheHitResult" in bad.steps["Count"]
    assert run(definition, Words="8").steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"


@pytest.mark.slow
@pytest.mark.usefixtures("code")
@pytest.mark.skipif(not importlib.util.find_spec("sagemaker"), reason="the SDK is not installed here")
def test_the_stored_definition_is_what_the_sdk_builds(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "count.py").write_text(SCRIPT)
    settings = tmp_path / "config.yaml"
    settings.write_text("SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n")
    environment = {
        **os.environ,
        **sandbox.environment(),
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(settings),
    }
    built = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("build_with_sdk.py")), BUCKET, ROLE, IMAGE, "count.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout.splitlines()[-1]) == json.loads(STORED.read_text())
