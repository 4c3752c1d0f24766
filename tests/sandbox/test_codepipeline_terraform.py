"""Real Terraform makes a pipeline with an entry condition, and finds it as it left it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.sandbox.codepipeline_world import wait_for
from tests.terraform_environment import cli_environment, terraform

ROOT = Path(__file__).with_name("terraform") / "pipeline"


@pytest.mark.slow
def test_an_entry_condition_applies_changes_and_does_not_drift(sandbox: Sandbox, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".terraform*"))
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
    wait_for(
        lambda: pipelines.list_pipeline_executions(pipelineName="conditions")["pipelineExecutionSummaries"],
        lambda found: bool(found) and found[0]["status"] == "Failed",
    )

    terraform(root, environment, "apply", "-auto-approve", "-var=answer=no")
    terraform(root, environment, "plan", "-detailed-exitcode", "-var=answer=no")
    changed = pipelines.get_pipeline(name="conditions")["pipeline"]
    assert json.dumps(changed).count('"Value": "no"') == 1 and changed["version"] == 2
    terraform(root, environment, "destroy", "-auto-approve")
    assert pipelines.list_pipelines()["pipelines"] == []
