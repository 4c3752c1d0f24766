"""Real Terraform makes alarms and a dashboard, and finds them as it left them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.terraform_environment import cli_environment, terraform

ROOT = Path(__file__).with_name("terraform") / "alarms"


@pytest.mark.slow
def test_alarms_and_a_dashboard_apply_change_and_do_not_drift(sandbox: Sandbox, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".terraform*"))
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
