"""Real Terraform with the real provider: an endpoint does not drift, moves to another model and goes away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.sandbox.endpoint_world import A, B, Endpoints, wait_for
from tests.terraform_environment import cli_environment

ROOT = Path(__file__).with_name("terraform") / "endpoints"


@pytest.fixture
def world(tmp_path: Path, container_python: Path) -> Iterator[Endpoints]:
    with Sandbox(tmp_path / "sandbox", Images.single(container_python), accounts=(A, B)) as sandbox:
        yield Endpoints(sandbox)


@pytest.fixture
def terraform(world: Endpoints, tmp_path: Path) -> Callable[..., str]:
    """Runs Terraform in a copy of the root, and returns what it prints."""
    root = tmp_path / "root"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".terraform*"))
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
    world: Endpoints, terraform: Callable[..., str]
) -> None:
    first, second = (f"-var=package={world.package(name)}" for name in ("first", "second"))
    terraform("apply", "-auto-approve", first)
    terraform("plan", "-detailed-exitcode", first)
    assert world.ask("endpoints") == "first: hello"
    made = world.sagemaker.describe_endpoint(EndpointName="endpoints")["CreationTime"]

    memory = "-var=memory=3072"
    terraform("apply", "-auto-approve", second, memory)
    terraform("plan", "-detailed-exitcode", second, memory)
    assert world.ask("endpoints") == "second: hello"
    described = world.sagemaker.describe_endpoint(EndpointName="endpoints")
    assert described["CreationTime"] == made
    (serving,) = described["ProductionVariants"]
    assert serving["CurrentServerlessConfig"]["MemorySizeInMB"] == 3072
    outputs = json.loads(terraform("output", "-json"))
    listed = world.sagemaker.list_endpoint_configs()["EndpointConfigs"]
    assert [each["EndpointConfigName"] for each in listed] == [outputs["configuration"]["value"]]
    assert len(world.sagemaker.list_models()["Models"]) == 1

    terraform("destroy", "-auto-approve", second, memory)
    # the provider does not wait for the end of it
    assert wait_for(lambda: world.sagemaker.list_endpoints()["Endpoints"] == [])
    scaling = world.sandbox.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
