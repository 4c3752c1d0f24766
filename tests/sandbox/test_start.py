"""What a process imports before it can do its work: otherwise a second more for each command."""

import subprocess
import sys
from pathlib import Path

import pytest


def imported_by(script: str, folder: Path) -> set[str]:
    """The modules that a new process has at the end of a script."""
    tell = "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script + tell], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["mlops_workbench.sandbox.cli", "mlops_workbench.sandbox.pipelines"])
def test_only_what_opens_a_sandbox_imports_moto(module: str, tmp_path: Path) -> None:
    assert "moto" not in imported_by(f"import {module}", tmp_path)


SCALING = """
from mlops_workbench.sandbox import Sandbox
with Sandbox("sandbox") as sandbox:
    import sys
    assert "moto.ec2" not in sys.modules
    scaling = sandbox.client("application-autoscaling")
    target = dict(ServiceNamespace="ecs", ResourceId="service/default/web")
    target["ScalableDimension"] = "ecs:service:DesiredCount"
    try:
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    except scaling.exceptions.ClientError as error:
        assert "Cluster not found" in str(error), error
    ecs = sandbox.client("ecs")
    ecs.create_cluster(clusterName="default")
    container = {"name": "web", "image": "web", "memory": 1}
    ecs.register_task_definition(family="web", containerDefinitions=[container])
    ecs.create_service(cluster="default", serviceName="web", taskDefinition="web", desiredCount=1)
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    found = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert [each["ResourceId"] for each in found] == ["service/default/web"]
with Sandbox("sandbox") as sandbox:
    scaling = sandbox.client("application-autoscaling")
    assert len(scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]) == 1
    assert sandbox.client("ecs").list_clusters()["clusterArns"]
"""


def test_ecs_and_ec2_are_imported_when_a_scalable_target_asks_for_them(tmp_path: Path) -> None:
    assert "moto.ec2.models" in imported_by(SCALING, tmp_path)
