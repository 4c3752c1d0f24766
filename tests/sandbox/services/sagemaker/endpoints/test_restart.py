"""Endpoints outlive the sandbox's process, and their own processes do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.sandbox.services.sagemaker.endpoints.world import A, B, Endpoints, processes_of
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[4]

#: Opens a sandbox with an endpoint in service, and says so; then waits to be killed.
HOLDER = """
import sys, time, types
from pathlib import Path
sys.modules["tests"] = types.ModuleType("tests")  # an installed package may have that name, too
sys.modules["tests"].__path__ = [sys.argv[3]]
from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.sandbox.services.sagemaker.endpoints.world import A, B, Endpoints
with Sandbox(Path(sys.argv[1]), Images.single(sys.argv[2]), accounts=(A, B)) as sandbox:
    world = Endpoints(sandbox)
    world.config("kept", world.package("kept"), ProvisionedConcurrency=1)
    world.create("kept", "kept")
    sandbox.save()
    print("ready", flush=True)
    time.sleep(600)
"""


def test_an_endpoint_is_in_service_again_and_what_was_under_way_goes_on(
    tmp_path: Path, container_python: Path
) -> None:
    folder, images = tmp_path / "sandbox", Images.single(container_python)
    with Sandbox(folder, images, accounts=(A, B)) as sandbox:
        world = Endpoints(sandbox)
        world.config("kept", world.package("kept"))
        world.create("kept", "kept")
        assert world.ask("kept") == "kept: hello"
        world.config("later", world.package("later"))
        world.sagemaker.create_endpoint(EndpointName="later", EndpointConfigName="later")
    assert processes_of(folder) == []
    with Sandbox(folder, images, accounts=(A, B)) as sandbox:
        world = Endpoints(sandbox)
        assert world.sagemaker.describe_endpoint(EndpointName="kept")["EndpointStatus"] == "InService"
        world.wait("later")
        # The model was fetched when the endpoint was made; its archive is not needed again.
        world.bucket().delete_object(Bucket="models", Key="kept/model.tar.gz")
        assert world.ask("kept") == "kept: hello"
        assert world.ask("later") == "later: hello"
    assert processes_of(folder) == []


def test_no_process_outlives_a_sandbox_that_is_killed(tmp_path: Path, container_python: Path) -> None:
    folder = tmp_path / "sandbox"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), str(container_python), str(TESTS)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        assert processes_of(folder / "endpoints")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert wait_for(lambda: not processes_of(folder / "endpoints"))
    leftovers = list((folder / "endpoints").glob("*/*/kept/deployments/*/*/algo-1"))
    assert leftovers
    with Sandbox(folder, Images.single(container_python), accounts=(A, B)) as sandbox:
        assert not any(each.exists() for each in leftovers)
        world = Endpoints(sandbox)
        # What is provisioned is started without a request.
        assert wait_for(lambda: processes_of(folder / "endpoints"))
        assert world.ask("kept") == "kept: hello"
