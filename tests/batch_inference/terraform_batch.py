"""For the tests of terraform/batch: records of deployments, a small pipeline, and files that it answers.

The pipeline's steps make calls that the real ones make, as the same roles: begin chooses a version and copies
the file, a model is made of that version, publish writes the answer (a copy) and deletes the model.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mlops_workbench.sandbox.services import events
from tests.terraform_delivery import PRODUCTION, REGION, SHARED
from tests.terraform_deployment import GROUP, Deployment, Registry, make_deployment

Found = TypeVar("Found")
COLLECTION = Path(__file__).resolve().parents[2]
TEMPLATE = COLLECTION / "batch-inference/{{cookiecutter.project_slug}}"
PARTS = COLLECTION / "shared/parts"
SLUG = "survey-batch"
OVER = frozenset({"Succeeded", "Failed", "Stopped"})

SETTINGS: dict[str, Any] = {
    "input": {"prefix": "input/", "formats": ["csv", "jsonl"]},
    "output": {"prefix": "output/", "format": "csv", "compression": "none"},
    "retention": {"input_days": None, "output_days": 90, "work_days": 14},
    "watching": {"days": 7, "texts": 200, "drift": 0.2, "schedule": "cron(0 5 * * ? *)"},
}

BEGIN = """
import json, os
import boto3

def handler(event, context):
    s3, bucket, key = boto3.client("s3"), event["bucket"], event["key"]
    if not key.endswith(".csv"):
        raise ValueError(f"{key}: expected a CSV")
    versions = boto3.client("sagemaker").list_model_packages(
        ModelPackageGroupName=os.environ["MODEL_PACKAGE_GROUP_ARN"], ModelApprovalStatus="Approved",
        SortBy="CreationTime", SortOrder="Descending")["ModelPackageSummaryList"]
    source = {"Bucket": bucket, "Key": key}
    if event["version_id"] != "latest":
        source["VersionId"] = event["version_id"]
    s3.head_object(**source)
    work = f"work/{event['execution_id']}"
    s3.copy_object(Bucket=os.environ["BUCKET"], Key=f"{work}/source/data.csv", CopySource=source)
    s3.put_object(Bucket=bucket, Key=f"{work}/request/request.json", Body=json.dumps(event))
    print("begun")
    return {"ModelPackageArn": versions[0]["ModelPackageArn"]}
"""

PUBLISH = """
import json, os
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    s3, bucket, work = boto3.client("s3"), os.environ["BUCKET"], f"work/{event['execution_id']}"
    request = json.load(s3.get_object(Bucket=bucket, Key=f"{work}/request/request.json")["Body"])
    s3.list_object_versions(Bucket=bucket, Prefix=request["key"])
    answer = "output/" + request["key"].removeprefix("input/")
    try:
        s3.head_object(Bucket=bucket, Key=answer)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":  # 403: without the right to list
            raise
    source = {"Bucket": bucket, "Key": f"{work}/source/data.csv"}
    s3.copy_object(Bucket=bucket, Key=answer, CopySource=source)
    boto3.client("sagemaker").delete_model(ModelName=event["model_name"])
    return {"Published": "yes"}
"""


@dataclass
class Environment(Deployment):
    """An environment with a bucket whose files are answered."""

    @property
    def pipeline(self) -> str:
        return f"{SLUG}-{self.name}"

    @property
    def bucket(self) -> str:
        return f"mlops-{self.pipeline}-{self.account}-{REGION}"

    def role(self, name: str) -> str:
        """The ARN of the role of jobs, begin, publish or events."""
        return self.service_role(f"{self.pipeline}-{name}")

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{REGION}:{self.account}:{resource}"

    def record(self, begin: str = BEGIN, **changes: Any) -> None:
        """Write the record of a deployment, the definition and the functions' code, as a build does."""
        (self.repository / "functions.zip").write_bytes(archive({"begin.py": begin, "publish.py": PUBLISH}))
        (self.repository / "definition.json").write_text(json.dumps(self.definition()), encoding="utf-8")
        definition = (self.repository / "definition.json").read_bytes()
        code = hashlib.sha256((self.repository / "functions.zip").read_bytes()).digest()
        self.write_record(
            {
                "name": self.pipeline,
                "bucket": self.bucket,
                "enabled": True,
                "model_package_group": GROUP,
                "settings": SETTINGS,
                "definition": "definition.json",
                "definition_sha256": hashlib.sha256(definition).hexdigest(),
                "functions": "functions.zip",
                "functions_sha256": base64.b64encode(code).decode(),
                **changes,
            }
        )

    def definition(self) -> dict[str, Any]:
        """The pipeline: begin, a model, publish."""
        functions = self.arn("lambda", f"function:{SLUG}")
        execution = {"Get": "Execution.PipelineExecutionId"}
        return {
            "Version": "2020-12-01",
            "Parameters": [
                {"Name": "Bucket", "Type": "String"},
                {"Name": "Key", "Type": "String"},
                {"Name": "Version", "Type": "String", "DefaultValue": "latest"},
            ],
            "Steps": [
                {
                    "Name": "Begin",
                    "Type": "Lambda",
                    "FunctionArn": f"{functions}-begin-{self.name}",
                    "Arguments": {
                        "bucket": {"Get": "Parameters.Bucket"},
                        "key": {"Get": "Parameters.Key"},
                        "version_id": {"Get": "Parameters.Version"},
                        "execution_id": execution,
                    },
                    "OutputParameters": [{"OutputName": "ModelPackageArn", "OutputType": "String"}],
                },
                {
                    "Name": "CreateModel",
                    "Type": "Model",
                    "Arguments": {
                        "ExecutionRoleArn": self.role("jobs"),
                        "PrimaryContainer": {
                            "ModelPackageName": {"Get": "Steps.Begin.OutputParameters['ModelPackageArn']"}
                        },
                    },
                },
                {
                    "Name": "Publish",
                    "Type": "Lambda",
                    "FunctionArn": f"{functions}-publish-{self.name}",
                    "Arguments": {
                        "execution_id": execution,
                        "model_name": {"Get": "Steps.CreateModel.ModelName"},
                    },
                    "OutputParameters": [{"OutputName": "Published", "OutputType": "String"}],
                },
            ],
        }

    def put(self, key: str, body: bytes = b"comment\nfine\n") -> str:
        """Put a file into the bucket; returns its version."""
        made = self.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)
        return str(made["VersionId"])

    def begin(self, key: str) -> list[str]:
        """Call the function begin for a file, as a step would; returns what its log says."""
        event = {"bucket": self.bucket, "key": key, "version_id": "latest", "execution_id": "by-hand"}
        name = f"{SLUG}-begin-{self.name}"
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        assert "FunctionError" not in answer, answer["Payload"].read()
        lines = self.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [line["message"] for line in lines]

    def executions(self) -> list[dict[str, Any]]:
        """All executions, the newest first, once what has been put there has been told to all who want it."""
        assert events.wait_idle(30)
        found = self.client("sagemaker").list_pipeline_executions(PipelineName=self.pipeline)
        return list(found["PipelineExecutionSummaries"])

    def ended(self, number: int) -> dict[str, Any]:
        """The newest execution, when there are so many and it is over."""

        def newest() -> dict[str, Any] | None:
            found = self.executions()
            over = len(found) == number and found[0]["PipelineExecutionStatus"] in OVER
            return found[0] if over else None

        found = wait_for(newest, 60)
        assert found, self.executions()
        assert events.wait_idle(30)
        return found

    def told(self) -> list[str]:
        """What people of this account were told by e-mail, oldest first: EventBridge sends a JSON text."""
        assert events.wait_idle(30)
        return [
            str(json.loads(mail.body)) for mail in events.mails() if mail.topic.split(":")[4] == self.account
        ]


def wait_for(found: Callable[[], Found], seconds: float) -> Found:
    """Ask until the answer is something, or the time is up; returns the last answer."""
    end = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def archive(files: Mapping[str, str]) -> bytes:
    """A zip of files, by name; the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, text in files.items():
            made.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def make_repository(folder: Path, production: str = PRODUCTION) -> Path:
    """What Terraform reads of a generated repository: its roots and its configuration."""
    repository = folder / SLUG
    for source in (TEMPLATE, PARTS / "everywhere", PARTS / "release"):
        unwanted = shutil.ignore_patterns(".terraform*", "*.tfstate*")
        shutil.copytree(source / "terraform", repository / "terraform", ignore=unwanted, dirs_exist_ok=True)
    project = {
        "name": "Survey Batch",
        "slug": SLUG,
        "prefix": "mlops",
        "description": "",
        "owner_email": "mlops@example.org",
        "region": REGION,
        "accounts": {"shared_services": SHARED, "production": production},
        "bucket": f"mlops-{SLUG}-{SHARED}-{REGION}",
        "bitbucket": {"url": "https://bitbucket.example.org", "project_key": "ML", "repository": SLUG},
        "kms_key_arn": None,
        "tags": {},
    }
    (repository / "config").mkdir()
    (repository / "config/project.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
    (repository / "config/transform.yaml").write_text(
        yaml.safe_dump({"model_package_group": GROUP}), encoding="utf-8"
    )
    return repository


def make_environment(
    name: str, folder: Path, registry: Registry, production: str = PRODUCTION
) -> Environment:
    """An environment as the foundation gives it to builds, whose notifications somebody gets by e-mail."""
    folder.mkdir(exist_ok=True)
    repository = make_repository(folder, production)
    made = make_deployment(name, SLUG, "batch", repository, folder, registry, production)
    environment = Environment(**vars(made))
    topic = environment.arn("sns", f"mlops-notifications-{name}")
    environment.client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="team@example.org")
    return environment
