"""Serverless endpoints, one of them with the real Hugging Face handler behind it."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.sagemaker.endpoints import invocations
from tests.sandbox.iam.world import refusal
from tests.sandbox.services.events.support import Queue, make_rule
from tests.sandbox.services.sagemaker.endpoints.world import (
    BUCKET,
    LEAN,
    REGION,
    TOOLKIT,
    A,
    B,
    Endpoints,
    processes_of,
    variant,
)
from tests.waiting import FOREVER, wait_for

pytestmark = pytest.mark.slow

#: As the documentation's sample of the event has it.
PATTERN = {
    "source": ["aws.sagemaker"],
    "detail-type": ["SageMaker Endpoint State Change"],
    "detail": {"EndpointName": ["one"], "EndpointStatus": ["UPDATING", "IN_SERVICE", "FAILED"]},
}


@pytest.fixture(scope="module")
def images(container_python: Path) -> Images:
    if not list(container_python.parent.parent.glob("lib/python*/*/sagemaker_huggingface_inference_toolkit")):
        pytest.skip(f"{container_python}: sagemaker-huggingface-inference-toolkit is not installed there")
    return Images.single(container_python)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, images: Images) -> Iterator[Endpoints]:
    with Sandbox(tmp_path_factory.mktemp("serving"), images, accounts=(A, B)) as sandbox:
        yield Endpoints(sandbox)


@pytest.fixture(scope="module")
def one(world: Endpoints) -> str:
    """An endpoint behind the real handler that all tests may ask; two requests at a time."""
    world.config("one", world.package("one", Environment=TOOLKIT), MaxConcurrency=2)
    world.create("one", "one")
    return "one"


def model_error(world: Endpoints, endpoint: str, text: str) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        world.ask(endpoint, text)
    answer: dict[str, Any] = dict(caught.value.response)
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ModelError", 424)
    return answer


def values(world: Endpoints, endpoint: str, metric: str, namespace: str = "AWS/SageMaker") -> list[float]:
    """A metric's values of the last hour, one for each datum."""
    from moto.cloudwatch.models import cloudwatch_backends

    return [
        datum.value
        for datum in cloudwatch_backends[A][REGION].metric_data
        if (datum.namespace, datum.name) == (namespace, metric)
        and [(each.name, each.value) for each in datum.dimensions]
        == [("EndpointName", endpoint), ("VariantName", "AllTraffic")]
    ]


def test_the_first_request_starts_an_instance_and_the_metrics_tell_so(world: Endpoints) -> None:
    name = "cold"
    world.config(name, world.package(name))
    described = world.create(name, name)
    config = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    (serving,) = described["ProductionVariants"]
    assert serving["CurrentServerlessConfig"] == serving["DesiredServerlessConfig"] == config
    folder = world.sandbox.folder / "endpoints" / A / REGION / name
    assert processes_of(folder) == []
    assert world.ask(name) == "cold: hello"
    assert len(processes_of(folder)) >= 1
    assert world.ask(name, "again") == "cold: again"
    overhead, model = values(world, name, "OverheadLatency"), values(world, name, "ModelLatency")
    (setup,) = values(world, name, "ModelSetupTime")
    assert overhead[0] >= setup > overhead[1] > 0  # microseconds
    assert all(0 < each < setup for each in model)
    assert values(world, name, "Invocations") == [1.0, 1.0]
    assert values(world, name, "ServerlessConcurrentExecutionsUtilization") == [0.2, 0.2]
    (memory,) = values(world, name, "MemoryUtilization", "/aws/sagemaker/Endpoints")
    assert 0 < memory < 100
    world.sagemaker.delete_endpoint(EndpointName=name)
    assert wait_for(lambda: not world.sagemaker.list_endpoints(NameContains=name)["Endpoints"])
    assert processes_of(folder) == []


def test_more_requests_at_a_time_than_the_limit_are_throttled(
    world: Endpoints, one: str, tmp_path: Path
) -> None:
    counted = len(values(world, one, "Invocations"))
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(world.ask, one, f"wait {tmp_path}") for _ in range(2)]
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
        with pytest.raises(ClientError) as caught:
            world.ask(one)
        (tmp_path / "go").touch()
        assert [each.result() for each in running] == [f"one: wait {tmp_path}"] * 2
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ThrottlingException",
        429,
    )
    assert len(values(world, one, "Invocations")) == counted + 2
    assert max(values(world, one, "ServerlessConcurrentExecutionsUtilization")) == 1.0
    assert sum(values(world, one, "Invocation4XXErrors")) == 0


def test_a_body_of_more_than_4_mb_is_refused(world: Endpoints, one: str) -> None:
    assert "4194304" in refusal(world.runtime().invoke_endpoint, EndpointName=one, Body=b"x" * 4194305)
    assert world.ask(one, "x" * 4194304).endswith("xxx")


def test_what_the_model_raises_is_a_model_error_with_its_message(world: Endpoints, one: str) -> None:
    before = sum(values(world, one, "Invocation4XXErrors"))
    answer = model_error(world, one, "raise cold")
    assert answer["OriginalStatusCode"] == 400
    assert json.loads(answer["OriginalMessage"])["message"] == "the furnace is cold"
    group = f"/aws/sagemaker/Endpoints/{one}"
    assert answer["LogStreamArn"].startswith(f"arn:aws:logs:{REGION}:{A}:log-group:{group}")
    assert answer["Error"]["Message"].startswith('Received client error (400) from primary with message "{')
    assert f"logEventViewer:group={group} in account {A}" in answer["Error"]["Message"]
    assert sum(values(world, one, "Invocation4XXErrors")) == before + 1
    stream = answer["LogStreamArn"].rsplit("log-stream:", 1)[-1]
    logs = world.sandbox.client("logs")

    def told() -> bool:
        found = logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
        return any("the furnace is cold" in each["message"] for each in found)

    assert wait_for(told)
    (file,) = (world.sandbox.folder / "endpoints" / A / REGION / one / "logs").glob(
        f"{stream.replace('/', '-')}.txt"
    )
    assert "loading one" in file.read_text()


def test_a_container_that_ends_is_a_server_error_and_the_next_request_gets_another(
    world: Endpoints, one: str
) -> None:
    before = sum(values(world, one, "Invocation5XXErrors"))
    answer = model_error(world, one, "exit now")
    assert answer["OriginalStatusCode"] == 0
    assert sum(values(world, one, "Invocation5XXErrors")) == before + 1
    assert world.ask(one) == "one: hello"


def test_a_model_that_takes_too_long_is_a_server_error(
    world: Endpoints, one: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert invocations.TIMEOUT == 60.0
    monkeypatch.setattr(invocations, "TIMEOUT", 1.0)
    answer = model_error(world, one, f"wait {tmp_path}")
    (tmp_path / "go").touch()
    assert answer["OriginalMessage"].startswith("Your invocation timed out while waiting for a response")
    monkeypatch.undo()
    assert world.ask(one) == "one: hello"


def test_headers_go_to_the_container_and_back(world: Endpoints, one: str) -> None:
    runtime = world.runtime()
    answer = runtime.invoke_endpoint(
        EndpointName=one,
        Body=b"attributes",
        ContentType="text/plain",
        TargetVariant="AllTraffic",
        CustomAttributes="trace=7",
    )
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "back: trace=7"
    assert answer["Body"].read() == b"one: attributes"
    assert "Variant Other not found" in refusal(
        runtime.invoke_endpoint, EndpointName=one, Body=b"hello", TargetVariant="Other"
    )


def test_the_models_variables_win_over_the_packages(world: Endpoints) -> None:
    name, client = "variables", world.sagemaker
    package = world.package(name, Environment={**LEAN, "ONE": "package", "TWO": "package"})
    client.create_model(
        ModelName=name,
        ExecutionRoleArn=world.role,
        PrimaryContainer={"ModelPackageName": package, "Environment": {"TWO": "model"}},
    )
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(name)])
    world.create(name, name)
    assert [world.ask(name, f"variable {each}") for each in ("ONE", "TWO")] == ["package", "model"]
    client.delete_endpoint(EndpointName=name)


def test_an_update_under_steady_requests_loses_none(world: Endpoints) -> None:
    name = "steady"
    world.config("steady-1", world.package("steady-1"))
    world.config("steady-2", world.package("steady-2"))
    world.create(name, "steady-1")
    assert world.ask(name) == "steady-1: hello"
    stop, answers, problems = threading.Event(), [], []

    def ask() -> None:
        while not stop.is_set():
            try:
                answers.append(world.ask(name).partition(":")[0])
            except Exception as error:
                problems.append(error)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    world.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName="steady-2")
    in_progress = refusal(world.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName="steady-1")
    assert (
        in_progress == f'Cannot update in-progress endpoint "arn:aws:sagemaker:{REGION}:{A}:endpoint/{name}".'
    )
    updating = world.sagemaker.describe_endpoint(EndpointName=name)
    assert updating["EndpointConfigName"] == "steady-1"
    assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == "steady-2"
    described = world.wait(name)
    assert described["EndpointConfigName"] == "steady-2"
    assert "PendingDeploymentSummary" not in described
    wait_for(lambda: answers[-1] == "steady-2")
    stop.set()
    for thread in threads:
        thread.join(FOREVER)
    assert problems == []
    changes = [before != after for before, after in itertools.pairwise(answers)]
    assert set(answers) == {"steady-1", "steady-2"} and answers[-1] == "steady-2"
    assert sum(changes) <= 2 * len(threads)  # what was on its way may be overtaken
    assert (
        refusal(world.sagemaker.update_endpoint, EndpointName=name, EndpointConfigName="steady-2")
        == "Cannot update endpoint with the currently in use endpoint configuration."
    )
    # The configuration and the model of before may go, and so may those of now.
    for config in ("steady-1", "steady-2"):
        world.sagemaker.delete_endpoint_config(EndpointConfigName=config)
        world.sagemaker.delete_model(ModelName=config)
    assert world.ask(name) == "steady-2: hello"
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_an_update_to_a_model_that_does_not_start_keeps_the_old_one_serving(
    world: Endpoints, one: str
) -> None:
    world.config("broken", world.package("broken", script="import none_such"))
    queue = Queue.make(world.sandbox)
    make_rule(world.sandbox, PATTERN, {"Arn": queue.arn}, name="endpoints")
    world.sagemaker.update_endpoint(EndpointName=one, EndpointConfigName="broken")
    described = world.wait(one)
    assert "did not pass the ping health check" in described["FailureReason"]
    assert described["EndpointConfigName"] == "one"
    assert world.ask(one) == "one: hello"
    updating, kept = sorted((each["detail"] for each in queue.bodies()), key=len)
    assert (updating["EndpointStatus"], kept["EndpointStatus"]) == ("UPDATING", "IN_SERVICE")
    assert kept["FailureReason"] == described["FailureReason"]
    assert kept["EndpointArn"] == described["EndpointArn"]


def test_missing_model_data_fails_the_endpoint_and_a_broken_archive_does(world: Endpoints) -> None:
    s3 = world.bucket()
    world.config("missing", world.package("missing"))
    s3.delete_object(Bucket=BUCKET, Key="missing/model.tar.gz")
    uri = f"s3://{BUCKET}/missing/model.tar.gz"
    assert (
        world.create("missing", "missing", "Failed")["FailureReason"]
        == f"Could not find model data at {uri}."
    )
    s3.put_object(Bucket=BUCKET, Key="missing/model.tar.gz", Body=b"no archive")
    world.sagemaker.delete_endpoint(EndpointName="missing")
    assert wait_for(lambda: not world.sagemaker.list_endpoints(NameContains="missing")["Endpoints"])
    reason = world.create("missing", "missing", "Failed")["FailureReason"]
    assert f'Failed to extract model data archive for container "primary" from URL "{uri}"' in reason


def test_a_name_of_63_characters_is_served_and_one_of_64_is_not(world: Endpoints) -> None:
    name = "e" * 63
    world.config(name, world.package("long"))
    world.create(name, name)
    assert world.ask(name) == "long: hello"
    world.sagemaker.delete_endpoint(EndpointName=name)
    assert "expected at most 63 characters, got 64" in refusal(
        world.sagemaker.create_endpoint, EndpointName=name + "e", EndpointConfigName=name
    )


def test_provisioned_concurrency_is_there_before_the_first_request_and_can_be_changed(
    world: Endpoints,
) -> None:
    name = "provisioned"
    world.config(name, world.package(name), ProvisionedConcurrency=1)
    world.create(name, name)
    assert world.ask(name) == f"{name}: hello"
    assert values(world, name, "ModelSetupTime") == []
    assert values(world, name, "ServerlessProvisionedConcurrencyUtilization") == [1.0]
    assert values(world, name, "ServerlessProvisionedConcurrencyInvocations") == [1.0]
    change = {"MaxConcurrency": 10, "ProvisionedConcurrency": 2}
    given = [{"VariantName": "AllTraffic", "ServerlessUpdateConfig": change}]
    world.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name, DesiredWeightsAndCapacities=given
    )
    described = world.wait(name)
    assert described["ProductionVariants"][0]["CurrentServerlessConfig"] == {**change, "MemorySizeInMB": 2048}
    folder = world.sandbox.folder / "endpoints" / A / REGION / name
    servers = [line for line in processes_of(folder) if "supervisor" not in line and " unshare" not in line]
    assert len({re.search(r"deployments/\w+/(\w+)", line)[1] for line in servers}) == 2  # type: ignore[index]
    world.sagemaker.delete_endpoint(EndpointName=name)


def test_an_idle_instance_ends(world: Endpoints, one: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ask(one)
    folder = world.sandbox.folder / "endpoints" / A / REGION / one
    assert processes_of(folder)
    monkeypatch.setenv("MLOPS_SANDBOX_ENDPOINT_IDLE", "1")
    assert wait_for(lambda: not processes_of(folder))


def test_cloudwatch_answers_statistics_and_percentiles(world: Endpoints, one: str) -> None:
    world.ask(one)
    client, now = world.sandbox.client("cloudwatch"), datetime.now(UTC)
    dimensions = [{"Name": "EndpointName", "Value": one}, {"Name": "VariantName", "Value": "AllTraffic"}]
    span = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(minutes=1)}
    which = {"Namespace": "AWS/SageMaker", "Dimensions": dimensions}
    asked = {**span, **which, "Period": 7200}
    (counted,) = client.get_metric_statistics(**asked, MetricName="Invocations", Statistics=["Sum"])[
        "Datapoints"
    ]
    assert counted["Sum"] == len(values(world, one, "Invocations"))
    (latency,) = client.get_metric_statistics(
        **asked, MetricName="ModelLatency", ExtendedStatistics=["p50", "p100"]
    )["Datapoints"]
    known = sorted(values(world, one, "ModelLatency"))
    assert latency["ExtendedStatistics"]["p100"] == known[-1]
    assert known[0] <= latency["ExtendedStatistics"]["p50"] <= known[-1]
    stat = {"Metric": {**which, "MetricName": "ModelLatency"}, "Period": 7200, "Stat": "p100"}
    found = client.get_metric_data(**span, MetricDataQueries=[{"Id": "m", "MetricStat": stat}])
    assert found["MetricDataResults"][0]["Values"] == [known[-1]]
    names = [each["MetricName"] for each in client.list_metrics(**which)["Metrics"]]
    assert len(names) == len(set(names)) and "ModelSetupTime" in names
