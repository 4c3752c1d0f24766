"""Real Terraform with the real provider: nothing drifts, and what was applied works together."""

import io
import json
import os
import shutil
import subprocess
import urllib.request
import zipfile
from pathlib import Path

import pytest

from mlops_workbench.sandbox.services import events
from tests.sandbox.events_support import wait_for
from tests.terraform_environment import cli_environment

ROOT = Path(__file__).with_name("terraform") / "events"
CODE = """
import json
def handler(event, context):
    if "Records" in event:
        print("batch", json.dumps([json.loads(record["body"]) for record in event["Records"]]))
        return {"batchItemFailures": []}
    return {"statusCode": 202, "body": event["pathParameters"]["name"]}
"""


@pytest.fixture
def terraform(sandbox, tmp_path):
    """Runs Terraform in a copy of the root, and returns what it prints."""
    root = tmp_path / "root"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".terraform*"))
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
def test_what_terraform_applies_does_not_drift_and_works(sandbox, terraform):
    terraform("apply", "-auto-approve")
    terraform("plan", "-detailed-exitcode")
    outputs = {name: entry["value"] for name, entry in json.loads(terraform("output", "-json")).items()}
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

    terraform("apply", "-auto-approve", "-var=memory=256")
    terraform("plan", "-detailed-exitcode", "-var=memory=256")
    terraform("destroy", "-auto-approve", "-var=memory=256")
