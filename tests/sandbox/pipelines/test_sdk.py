"""A definition built by the SageMaker Python SDK runs as it is.

``sdk_3_27_0.json`` is what build_with_sdk.py printed with sagemaker 3.27.0: the SDK need not be installed.
"""

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
from documents import BUCKET, IMAGE, ROLE

from mlops_workbench.sandbox import Sandbox

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


@pytest.fixture(autouse=True)
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


def test_it_runs(run: Any) -> None:
    definition = json.loads(STORED.read_text())
    good = run(definition)
    assert good.status == "Succeeded", good.reason
    assert good.statuses() == {"Count": "Succeeded", "Train": "Succeeded", "Gate": "Succeeded"}
    bad = run(definition, Least="0.8")
    assert bad.reason == "Step 'TooFew' failed: the share 0.75 is below 0.8"
    assert "CacheHitResult" in bad.steps["Count"]
    assert run(definition, Words="8").steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"


@pytest.mark.slow
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
