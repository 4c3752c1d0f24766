"""Real Terraform, real provider: what is applied does not drift, works together, changes and goes away."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services import events
from tests.sandbox.services.codepipeline.world import wait_for as wait_until
from tests.sandbox.services.sagemaker.endpoints.world import A, B, Endpoints
from tests.terraform_environment import cli_environment, terraform
from tests.waiting import wait_for

ROOTS = Path(__file__).with_name("terraform")
CODE = """
import json
def handler(event, context):
    if "Records" in event:
        print("batch", json.dumps([json.loads(record["body"]) for record in event["Records"]]))
        return {"batchItemFailures": []}
    return {"statusCode": 202, "body": event["pathParameters"]["name"]}
"""


@pytest.fixture
def terraform_events(sandbox, tmp_path):
    """Runs Terraform in a copy of the root, and returns what it prints."""
    root = tmp_path / "root"
    shutil.copytree(ROOTS / "events", root, ignore=shutil.ignore_patterns(".terraform*"))
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", CODE)
    (tmp_path / "code.zip").write_bytes(code.getvalue())
    environment = {
        **os.environ,
        **cli_environment(),
        **sandbox.environment(),
        "TF_VAR_code": str(tmp_path / "code.zip"),
    }

    def run(command, *arguments, expect=(0,)):
        words = ["terraform", command, "-no-color", *arguments]
        done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode in expect, done.stdout[-8000:] + done.stderr[-4000:]
        return done.stdout

    run("init", "-input=false")
    return run


@pytest.mark.slow
def test_what_terraform_applies_does_not_drift_and_works(sandbox, terraform_events):
    terraform_events("apply", "-auto-approve")
    terraform_events("plan", "-detailed-exitcode")
    outputs = {
        name: entry["value"] for name, entry in json.loads(terraform_events("output", "-json")).items()
    }
    logs = sandbox.client("logs")

    def lines(group):
        return [entry["message"] for entry in logs.filter_log_events(logGroupName=group)["events"]]

    key = "incoming/a.json"
    sandbox.client("s3").put_object(Bucket=outputs["bucket"], Key=key, Body=b"{}")
    wanted = "batch " + json.dumps([{"bucket": outputs["bucket"], "text": f"key {key}"}])
    group = "/aws/lambda/events-function"
    assert wait_for(lambda: wanted in lines(group)), (events.history(), lines(group))

    host = outputs["endpoint"].removeprefix("https://")
    request = urllib.request.Request(
        f"{sandbox.endpoint_url}/hook/one", b"{}", {"Host": host, "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, answer.read()) == (202, b"one")
    assert lines("/aws/apigateway/events") == ["POST /hook/one 202"]

    terraform_events("apply", "-auto-approve", "-var=memory=256")
    terraform_events("plan", "-detailed-exitcode", "-var=memory=256")
    terraform_events("destroy", "-auto-approve", "-var=memory=256")


@pytest.mark.slow
def test_an_entry_condition_applies_changes_and_does_not_drift(sandbox: Sandbox, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(ROOTS / "pipeline", root, ignore=shutil.ignore_patterns(".terraform*"))
    environment = {**os.environ, **cli_environment(), **sandbox.environment()}
    terraform(root, environment, "init", "-input=false")
    terraform(root, environment, "apply", "-auto-approve")
    terraform(root, environment, "plan", "-detailed-exitcode")

    pipelines = sandbox.client("codepipeline")
    stage = pipelines.get_pipeline(name="conditions")["pipeline"]["stages"][1]
    (condition,) = stage["beforeEntry"]["conditions"]
    assert condition["result"] == "SKIP"
    assert condition["rules"][0]["configuration"] == {
        "Variable": "#{Taken.BucketName}",
        "Value": "yes",
        "Operator": "EQ",
    }
    # There is no source yet: the first execution ends where it begins.
    wait_until(
        lambda: pipelines.list_pipeline_executions(pipelineName="conditions")["pipelineExecutionSummaries"],
        lambda found: bool(found) and found[0]["status"] == "Failed",
    )

    terraform(root, environment, "apply", "-auto-approve", "-var=answer=no")
    terraform(root, environment, "plan", "-detailed-exitcode", "-var=answer=no")
    changed = pipelines.get_pipeline(name="conditions")["pipeline"]
    assert json.dumps(changed).count('"Value": "no"') == 1 and changed["version"] == 2
    terraform(root, environment, "destroy", "-auto-approve")
    assert pipelines.list_pipelines()["pipelines"] == []


@pytest.fixture
def world(tmp_path: Path, container_python: Path) -> Iterator[Endpoints]:
    with Sandbox(tmp_path / "sandbox", Images.single(container_python), accounts=(A, B)) as sandbox:
        yield Endpoints(sandbox)


@pytest.fixture
def terraform_endpoints(world: Endpoints, tmp_path: Path) -> Callable[..., str]:
    """Runs Terraform in a copy of the root, and returns what it prints."""
    root = tmp_path / "root"
    shutil.copytree(ROOTS / "endpoints", root, ignore=shutil.ignore_patterns(".terraform*"))
    environment = {**os.environ, **cli_environment(), **world.sandbox.environment()}

    def run(command: str, *arguments: str) -> str:
        words = ["terraform", command, "-no-color", *arguments]
        done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
        return done.stdout

    run("init", "-input=false")
    return run


@pytest.mark.slow
def test_an_endpoint_does_not_drift_and_moves_without_being_replaced(
    world: Endpoints, terraform_endpoints: Callable[..., str]
) -> None:
    first, second = (f"-var=package={world.package(name)}" for name in ("first", "second"))
    terraform_endpoints("apply", "-auto-approve", first)
    terraform_endpoints("plan", "-detailed-exitcode", first)
    assert world.ask("endpoints") == "first: hello"
    made = world.sagemaker.describe_endpoint(EndpointName="endpoints")["CreationTime"]

    memory = "-var=memory=3072"
    terraform_endpoints("apply", "-auto-approve", second, memory)
    terraform_endpoints("plan", "-detailed-exitcode", second, memory)
    assert world.ask("endpoints") == "second: hello"
    described = world.sagemaker.describe_endpoint(EndpointName="endpoints")
    assert described["CreationTime"] == made
    (serving,) = described["ProductionVariants"]
    assert serving["CurrentServerlessConfig"]["MemorySizeInMB"] == 3072
    outputs = json.loads(terraform_endpoints("output", "-json"))
    listed = world.sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [each["EndpointConfigName"] for each in listed] == [outputs["configuration"]["value"]]
    assert len(world.sagemaker.list_models()["Models"]) == 1

    terraform_endpoints("destroy", "-auto-approve", second, memory)
    # the provider does not wait for the end of it
    assert wait_for(lambda: world.sagemaker.list_endpoints()["Endpoints"] == [])
    scaling = world.sandbox.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


@pytest.mark.slow
def test_alarms_and_a_dashboard_apply_change_and_do_not_drift(sandbox: Sandbox, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(ROOTS / "alarms", root, ignore=shutil.ignore_patterns(".terraform*"))
    environment = {**os.environ, **cli_environment(), **sandbox.environment()}
    terraform(root, environment, "init", "-input=false")
    terraform(root, environment, "apply", "-auto-approve")
    terraform(root, environment, "plan", "-detailed-exitcode")

    client = sandbox.client("cloudwatch")
    made = client.describe_alarms()["MetricAlarms"]
    assert sorted(one["AlarmName"] for one in made) == ["e-errors", "e-latency"]
    shown = json.loads(client.get_dashboard(DashboardName="e")["DashboardBody"])
    assert shown["widgets"][0]["properties"]["markdown"] == "# e, errors above 1 %"

    terraform(root, environment, "apply", "-auto-approve", "-var=threshold=5")
    terraform(root, environment, "plan", "-detailed-exitcode", "-var=threshold=5")
    (errors,) = client.describe_alarms(AlarmNames=["e-errors"])["MetricAlarms"]
    assert errors["Threshold"] == 5
    terraform(root, environment, "destroy", "-auto-approve")
    assert client.describe_alarms()["MetricAlarms"] == []
    assert client.list_dashboards()["DashboardEntries"] == []
