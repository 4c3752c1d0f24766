"""The two functions of the pipeline as Lambda runs them, in an account that reads the other one's models."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from watching.count import CONFIDENCE, UNKNOWN, WORDS

from mlops_workbench.sandbox import Sandbox

pytestmark = pytest.mark.slow

SHARED, PRODUCTION, REGION = "111111111111", "222222222222", "ca-central-1"
GROUP = "survey-sentiment"
GROUP_ARN = f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package-group/{GROUP}"
VERSIONS_ARN = f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package/{GROUP}/*"
BUCKET = f"mlops-survey-batch-production-{PRODUCTION}-{REGION}"
MODELS = f"mlops-survey-sentiment-{SHARED}-{REGION}"
IMAGE = "763104351884.dkr.ecr.ca-central-1.amazonaws.com/huggingface-pytorch-inference:2.6.0"
COLLECTION = Path(__file__).parents[2]
FUNCTIONS = COLLECTION / "batch-inference/{{cookiecutter.project_slug}}/functions"
WATCHING = COLLECTION / "shared/parts/release/watching"


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _allow(path: str, *actions: str) -> dict[str, Any]:
    """The actions on objects below a path of the bucket, or with "" on the bucket itself."""
    resource = f"arn:aws:s3:::{BUCKET}/{path}" if path else f"arn:aws:s3:::{BUCKET}"
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


STEPS = {"steps/normalise.py": "print('normalise')\n", "steps/answer.py": "print('answer')\n"}
VARIABLES = {
    "BUCKET": BUCKET,
    "ENVIRONMENT": "production",
    "INPUT_PREFIX": "input/",
    "OUTPUT_PREFIX": "output/",
    "FORMATS": "csv,jsonl",
    "OUTPUT_FORMAT": "csv",
    "OUTPUT_COMPRESSION": "none",
    "MODEL_PACKAGE_GROUP_ARN": GROUP_ARN,
    "WATCHED_NAME": "survey-batch-production",
    "NAME": "survey-batch-production",
    "DAYS": "7",
    "TEXTS": "50",
    "LIMIT": "0.2",
    "ONLY_TARGET": "label",
}


LOG = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}

#: What the functions may do, and no more: the sandbox refuses everything else.
PERMISSIONS = {
    "begin": [
        _allow("", "s3:ListBucket"),
        _allow("input/*", "s3:GetObject", "s3:GetObjectVersion"),
        _allow("work/*", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
        {"Effect": "Allow", "Action": "sagemaker:ListModelPackages", "Resource": [GROUP_ARN, VERSIONS_ARN]},
    ],
    "publish": [
        _allow("", "s3:ListBucket", "s3:ListBucketVersions"),
        _allow("work/*", "s3:GetObject", "s3:GetObjectVersion"),
        _allow("output/*", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"),
        {
            "Effect": "Allow",
            "Action": "sagemaker:DeleteModel",
            "Resource": f"arn:aws:sagemaker:{REGION}:{PRODUCTION}:model/pipelines-*",
        },
        LOG,
    ],
    "drift": [
        {"Effect": "Allow", "Action": "cloudwatch:GetMetricData", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{MODELS}/models/*"},
        {
            "Effect": "Allow",
            "Action": ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
            "Resource": [GROUP_ARN, VERSIONS_ARN],
        },
        LOG,
    ],
}
HANDLERS = {"drift": "watching.check.handler"}


@dataclass
class World:
    """The production account's bucket and functions, and the shared account's registry."""

    sandbox: Sandbox
    s3: Any
    registry: Any

    def deploy(self, **variables: str) -> None:
        """Makes the functions out of this template's files, as the zip holds them."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(FUNCTIONS.glob("*.py")):
                archive.writestr(path.name, path.read_text(encoding="utf-8"))
            for path in sorted(WATCHING.glob("*.py")):
                archive.writestr(f"watching/{path.name}", path.read_text(encoding="utf-8"))
            for name, text in STEPS.items():
                archive.writestr(name, text)
        for name, statements in PERMISSIONS.items():
            self.role(name, statements)
            self.sandbox.client("lambda", PRODUCTION).create_function(
                FunctionName=name,
                Runtime="python3.12",
                Role=f"arn:aws:iam::{PRODUCTION}:role/{name}",
                Handler=HANDLERS.get(name, f"{name}.handler"),
                Timeout=60,
                Environment={"Variables": {**VARIABLES, **variables}},
                Code={"ZipFile": packed.getvalue()},
            )

    def role(
        self, name: str, statements: list[dict[str, Any]], service: str = "lambda.amazonaws.com"
    ) -> None:
        iam = self.sandbox.client("iam", PRODUCTION)
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
        }
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_document(*statements))

    def call(self, name: str, **event: str) -> dict[str, Any]:
        """Invokes a function; an error comes back as {"error": its text}."""
        client = self.sandbox.client("lambda", PRODUCTION)
        answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
        payload: dict[str, Any] = json.loads(answer["Payload"].read())
        if "FunctionError" not in answer:
            return payload
        assert payload["errorType"] == "Refused", payload
        return {"error": payload["errorMessage"]}

    def begin(self, key: str, version: str = "latest", execution: str = "e1") -> dict[str, Any]:
        return self.call("begin", bucket=BUCKET, key=key, version_id=version, execution_id=execution)

    def publish(self, execution: str, model: str = "") -> dict[str, Any]:
        return self.call("publish", execution_id=execution, model_name=model)

    def put(self, key: str, body: bytes | str = "comment\nfine\n") -> str:
        return str(self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"])

    def get(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def json(self, key: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.get(key))
        return document

    def metadata(self, key: str) -> dict[str, str]:
        found: dict[str, str] = self.s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]
        return found

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"] for each in listed.get("Contents", [])]

    def approve(self, *approvals: str) -> list[str]:
        """More versions of the group, with these approval statuses."""
        return [
            self.registry.create_model_package(
                ModelPackageGroupName=GROUP,
                ModelApprovalStatus=approval,
                InferenceSpecification={
                    "Containers": [
                        {"Image": IMAGE, "ModelDataUrl": f"s3://{MODELS}/models/run/model.tar.gz"}
                    ],
                    "SupportedContentTypes": ["application/json"],
                    "SupportedResponseMIMETypes": ["application/json"],
                },
            )["ModelPackageArn"]
            for approval in approvals
        ]

    def answered(self, key: str, execution: str, text: str) -> str:
        """Uploads a file and lets an execution come as far as its answers; returns the file's version."""
        version = self.put(key, f"comment\n{text}\n")
        assert "error" not in self.begin(key, version, execution)
        self.answer(execution, text)
        return version

    def metric(self, name: str, **dimensions: str) -> float:
        """The sum of a metric of what is watched."""
        now = datetime.now(UTC)
        found = self.sandbox.client("cloudwatch", PRODUCTION).get_metric_statistics(
            Namespace="MLOps/Watching",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(hours=1),
            Period=7200,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    def answer(self, execution: str, text: str) -> None:
        self.put(f"work/{execution}/result/answers.csv", f"comment,label\n{text},positive\n")
        self.put(f"work/{execution}/result/summary.json", json.dumps({"version": 1, "text": text}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Sandbox(
        tmp_path / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION, enforce_iam=True
    ) as opened:
        made = World(opened, opened.client("s3", PRODUCTION), opened.client("sagemaker", SHARED))
        made.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        versioning = {"Status": "Enabled"}
        made.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioning)
        made.registry.create_model_package_group(ModelPackageGroupName=GROUP)
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
            "Action": ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
            "Resource": [GROUP_ARN, VERSIONS_ARN],
        }
        made.registry.put_model_package_group_policy(
            ModelPackageGroupName=GROUP, ResourcePolicy=_document(statement)
        )
        made.deploy()
        yield made


# --- begin ------------------------------------------------------------------------------------------


def test_begin_takes_exactly_the_version_that_the_event_named_and_the_newest_approved_model(
    world: World,
) -> None:
    arns = world.approve("Approved", "Approved", "Rejected", "PendingManualApproval")
    first = world.put("input/july/a.csv", "comment\nfirst\n")
    world.put("input/july/a.csv", "comment\nsecond\n")
    assert world.begin("input/july/a.csv", first) == {"ModelPackageArn": arns[1]}
    assert world.get("work/e1/source/data.csv") == b"comment\nfirst\n"
    assert {name: world.get(f"work/e1/code/{name.split('/')[1]}").decode() for name in STEPS} == STEPS
    head = world.s3.head_object(Bucket=BUCKET, Key="input/july/a.csv", VersionId=first)
    assert world.json("work/e1/request/request.json") == {
        "version": 1,
        "environment": "production",
        "bucket": BUCKET,
        "key": "input/july/a.csv",
        "version_id": first,
        "etag": head["ETag"].strip('"'),
        "size": 14,
        "last_modified": head["LastModified"].isoformat(),
        "execution_id": "e1",
        "model_package_arn": arns[1],
        "model_package_group": GROUP,
        "model_package_version": 2,
        "format": "csv",
        "gzip": False,
        "source": "data.csv",
        "result": "answers.csv",
        "result_key": "output/july/a.csv",
        "summary_key": "output/july/a.csv.summary.json",
    }


def test_a_second_call_for_an_execution_keeps_to_what_the_first_one_decided(world: World) -> None:
    (first,) = world.approve("Approved")
    version = world.put("input/a.csv", "comment\none\n")
    assert world.begin("input/a.csv") == {"ModelPackageArn": first}
    world.approve("Approved")
    world.put("input/a.csv", "comment\ntwo\n")
    world.s3.delete_object(Bucket=BUCKET, Key="work/e1/source/data.csv")
    assert world.begin("input/a.csv") == {"ModelPackageArn": first}
    assert world.get("work/e1/source/data.csv") == b"comment\none\n"
    assert world.json("work/e1/request/request.json")["version_id"] == version


def test_latest_is_the_newest_version(world: World) -> None:
    world.approve("Approved")
    world.put("input/a.csv", "old")
    newest = world.put("input/a.csv", "new")
    world.begin("input/a.csv", "latest")
    assert world.json("work/e1/request/request.json")["version_id"] == newest
    assert world.get("work/e1/source/data.csv") == b"new"


def test_the_newest_approved_version_is_found_behind_pages_of_others(world: World) -> None:
    arns = world.approve("Approved", *["PendingManualApproval"] * 120)
    world.put("input/a.csv")
    assert world.begin("input/a.csv") == {"ModelPackageArn": arns[0]}


@pytest.mark.parametrize(
    ("key", "source", "answers"),
    [
        ("input/a.csv", "data.csv", "output/a.csv"),
        ("input/b/ü c+d%20.csv", "data.csv", "output/b/ü c+d%20.csv"),
        ("input/a.csv.gz", "data.csv.gz", "output/a.csv.gz.csv"),
        ("input/a.CSV", "data.csv", "output/a.CSV.csv"),
        ("input/a.jsonl", "data.jsonl", "output/a.jsonl.csv"),
        ("input/a.ndjson.gz", "data.jsonl.gz", "output/a.ndjson.gz.csv"),
    ],
)
def test_names_say_what_a_file_is_and_where_its_answers_go(
    world: World, key: str, source: str, answers: str
) -> None:
    world.approve("Approved")
    body = gzip.compress(b"x") if key.endswith(".gz") else b"x"
    world.put(key, body)
    assert "error" not in world.begin(key)
    assert world.get(f"work/e1/source/{source}") == body
    request = world.json("work/e1/request/request.json")
    assert (request["key"], request["result_key"]) == (key, answers)
    assert request["gzip"] is key.endswith(".gz")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"bucket": "another"}, "expected a file of s3://mlops-survey-batch-production"),
        ({"key": "output/a.csv"}, "expected a file below input/; upload it there"),
        ({"key": "a.csv"}, "expected a file below input/; upload it there"),
        ({"key": "input/a.xlsx"}, "ends in one of .csv, .jsonl, .ndjson, .csv.gz, .jsonl.gz, .ndjson.gz;"),
        ({"key": "input/csv"}, "expected a name that ends in one of"),
        ({"key": "input/folder.csv/"}, "expected a name that ends in one of"),
        ({"key": "input/none.csv"}, "it is not there, or was deleted meanwhile; upload the file again"),
        ({"key": "input/deleted.csv"}, "it is not there, or was deleted meanwhile"),
        ({"version_id": "nosuchversion"}, "version nosuchversion of it is not there, or was deleted"),
        ({"key": "input/empty.csv"}, "expected a file with rows, got one of 0 bytes"),
        ({"key": f"input/{'a' * 1010}.csv"}, "its name is too long for .summary.json to be added"),
    ],
)
def test_what_is_not_to_be_answered_is_refused_in_one_sentence(
    world: World, event: dict[str, str], message: str
) -> None:
    world.approve("Approved")
    for key in ("input/a.csv", "input/deleted.csv", "output/a.csv", f"input/{'a' * 1010}.csv"):
        world.put(key)
    world.put("input/empty.csv", b"")
    world.s3.delete_object(Bucket=BUCKET, Key="input/deleted.csv")
    sent = {"bucket": BUCKET, "key": "input/a.csv", "version_id": "latest", "execution_id": "e1", **event}
    answer = world.call("begin", **sent)
    assert message in answer["error"] and "\n" not in answer["error"]
    assert world.keys("work/") == []


def test_a_version_that_is_a_delete_marker_is_not_there(world: World) -> None:
    world.approve("Approved")
    world.put("input/a.csv")
    marker = world.s3.delete_object(Bucket=BUCKET, Key="input/a.csv")["VersionId"]
    assert f"version {marker} of it is not there" in world.begin("input/a.csv", marker)["error"]


def test_a_file_that_was_replaced_or_deleted_meanwhile_is_answered_as_it_was_uploaded(world: World) -> None:
    world.approve("Approved")
    version = world.put("input/a.csv", "comment\nmine\n")
    world.s3.delete_object(Bucket=BUCKET, Key="input/a.csv")
    assert "error" not in world.begin("input/a.csv", version)
    assert world.get("work/e1/source/data.csv") == b"comment\nmine\n"


def test_without_an_approved_version_nothing_begins(world: World) -> None:
    world.approve("PendingManualApproval", "Rejected")
    world.put("input/a.csv")
    answer = world.begin("input/a.csv")
    wanted = f"model package group {GROUP}: no version is approved; approve one, then upload the file again"
    assert answer == {"error": wanted}
    assert world.keys("work/") == []


def test_a_group_that_may_not_be_read_is_named(world: World) -> None:
    world.registry.delete_model_package_group_policy(ModelPackageGroupName=GROUP)
    world.put("input/a.csv")
    answer = world.begin("input/a.csv")["error"]
    assert answer.startswith(f"model package group {GROUP_ARN}: ") and "AccessDenied" in answer


# --- publish ----------------------------------------------------------------------------------------


def test_publish_puts_answers_and_summary_where_people_look_and_says_where_they_come_from(
    world: World,
) -> None:
    (arn,) = world.approve("Approved")
    key = "input/été 2026/a.csv"
    version = world.answered(key, "e1", "fine")
    uri = f"s3://{BUCKET}/output/été 2026/a.csv"
    assert world.publish("e1") == {"Published": "yes", "ResultUri": uri, "Why": ""}
    assert world.get("output/été 2026/a.csv") == b"comment,label\nfine,positive\n"
    assert world.json("output/été 2026/a.csv.summary.json") == {"version": 1, "text": "fine"}
    expected = {
        "source-key": quote(key),
        "source-version-id": version,
        "execution-id": "e1",
        "model-package-arn": arn,
    }
    assert world.metadata("output/été 2026/a.csv") == expected
    assert world.metadata("output/été 2026/a.csv.summary.json") == expected
    head = world.s3.head_object(Bucket=BUCKET, Key="output/été 2026/a.csv")
    assert head["ContentType"] == "text/csv; charset=utf-8"


def test_publishing_twice_is_publishing_once(world: World) -> None:
    world.approve("Approved")
    world.answered("input/a.csv", "e1", "fine")
    assert world.publish("e1") == world.publish("e1")
    versions = world.s3.list_object_versions(Bucket=BUCKET, Prefix="output/a.csv")["Versions"]
    assert sorted(each["Key"] for each in versions) == ["output/a.csv", "output/a.csv.summary.json"]


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
def test_of_two_uploads_of_a_file_the_newer_one_s_answers_stay_in_whatever_order_they_end(
    world: World, order: tuple[str, str]
) -> None:
    world.approve("Approved")
    world.answered("input/a.csv", "old", "old")
    world.put("input/a.csv.gz", b"a key that begins with the same letters")
    world.answered("input/a.csv", "new", "new")
    answers = {execution: world.publish(execution) for execution in order}
    assert world.get("output/a.csv") == b"comment,label\nnew,positive\n"
    assert world.json("output/a.csv.summary.json")["text"] == "new"
    assert answers["new"]["Published"] == "yes"
    overtaken = {
        "Published": "no",
        "ResultUri": "",
        "Why": "a newer upload of input/a.csv was answered already",
    }
    assert answers["old"] == overtaken or order == ("old", "new")


def test_the_same_upload_answered_again_replaces_its_answers(world: World) -> None:
    world.approve("Approved")
    version = world.answered("input/a.csv", "e1", "one model")
    world.publish("e1")
    world.begin("input/a.csv", version, "e2")
    world.answer("e2", "another model")
    assert world.publish("e2")["Published"] == "yes"
    assert world.get("output/a.csv") == b"comment,label\nanother model,positive\n"


def test_answers_to_an_upload_that_is_gone_for_good_do_not_stand_in_the_way(world: World) -> None:
    world.approve("Approved")
    world.answered("input/a.csv", "e1", "kept")
    gone = world.answered("input/a.csv", "e2", "gone")
    world.publish("e2")
    world.s3.delete_object(Bucket=BUCKET, Key="input/a.csv", VersionId=gone)
    assert world.publish("e1")["Published"] == "yes"
    assert world.get("output/a.csv") == b"comment,label\nkept,positive\n"


def test_answers_that_were_deleted_are_published_again(world: World) -> None:
    world.approve("Approved")
    world.answered("input/a.csv", "e1", "fine")
    world.publish("e1")
    world.s3.delete_object(Bucket=BUCKET, Key="output/a.csv")
    assert world.publish("e1")["Published"] == "yes"
    assert world.get("output/a.csv") == b"comment,label\nfine,positive\n"


@pytest.mark.parametrize(("key", "found"), [("input/a.jsonl", "input/a.jsonl"), (None, "did not write")])
def test_what_is_not_ours_in_the_output_is_not_overwritten(world: World, key: str | None, found: str) -> None:
    world.approve("Approved")
    if key:
        world.answered(key, "other", "theirs")
        world.publish("other")
    else:
        world.put("output/a.jsonl.csv", "somebody's")
    before = world.get("output/a.jsonl.csv")
    world.answered("input/a.jsonl.csv", "e1", "ours")
    if not key:
        world.put("output/a.jsonl.csv.summary.json", "somebody's")
    answer = world.publish("e1")["error"]
    assert found in answer and "upload the file under another name" in answer
    assert world.get("output/a.jsonl.csv") == before


def test_answers_without_rows_and_a_very_long_name_are_published(world: World) -> None:
    world.approve("Approved")
    key = f"input/{'é' * 480}.csv"  # percent-encoded longer than all the metadata that S3 takes
    world.answered(key, "e1", "fine")
    world.s3.put_object(Bucket=BUCKET, Key="work/e1/result/answers.csv", Body=b"")
    assert world.publish("e1")["Published"] == "yes"
    assert world.get(f"output/{'é' * 480}.csv") == b""
    assert sum(map(len, [*world.metadata(f"output/{'é' * 480}.csv").values()])) < 2048
    assert world.publish("e1")["Published"] == "yes"


def test_without_answers_nothing_is_published(world: World) -> None:
    world.approve("Approved")
    world.put("input/a.csv")
    world.begin("input/a.csv")
    expected = f"s3://{BUCKET}/work/e1/result/summary.json: expected the answers of this execution"
    assert expected in world.publish("e1")["error"]
    assert world.keys("output/") == []


def test_the_model_is_deleted_once_it_has_answered_and_may_be_gone_already(world: World) -> None:
    sagemaker = world.sandbox.client("sagemaker", PRODUCTION)
    world.approve("Approved")
    world.answered("input/a.csv", "e1", "fine")
    image = {"Effect": "Allow", "Action": "ecr:*", "Resource": "*"}
    world.role("jobs", [image], "sagemaker.amazonaws.com")
    sagemaker.create_model(
        ModelName="pipelines-e1-Model",
        ExecutionRoleArn=f"arn:aws:iam::{PRODUCTION}:role/jobs",
        PrimaryContainer={"Image": IMAGE},
    )
    assert world.publish("e1", "pipelines-e1-Model")["Published"] == "yes"
    assert sagemaker.list_models()["Models"] == []
    assert world.publish("e1", "pipelines-e1-Model")["Published"] == "yes"


# --- objects ----------------------------------------------------------------------------------------


@pytest.fixture
def stored(world: World) -> Callable[..., Any]:
    """Runs Python with the functions' modules against the bucket, as they would run in Lambda."""

    def run(code: str) -> str:
        start = f"import boto3, stored\ns3, bucket = boto3.client('s3'), {BUCKET!r}\n"
        done = subprocess.run(
            [sys.executable, "-c", start + code],
            cwd=FUNCTIONS,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
                **world.sandbox.environment(PRODUCTION),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_large_object_is_copied_in_parts_of_exactly_one_version(
    world: World, stored: Callable[..., Any]
) -> None:
    body = bytes(range(256)) * 47_000  # 11.5 MB, and S3 takes parts of at least 5 MB
    version = world.put("input/a.csv", body)
    world.put("input/a.csv", b"newer")
    stored(
        f"found = stored.look(s3, bucket, 'input/a.csv', {version!r})\n"
        "stored.copy(s3, (bucket, 'input/a.csv', found), 'output/copy', instead_of=None, part=5 * 1024**2)"
    )
    assert world.get("output/copy") == body
    assert world.s3.head_object(Bucket=BUCKET, Key="output/copy")["ETag"].endswith('-3"')


@pytest.mark.parametrize("body", [b"", b"ours"])
def test_a_copy_is_not_written_over_what_came_meanwhile_and_leaves_no_parts(
    world: World, stored: Callable[..., Any], body: bytes
) -> None:
    world.put("source", body)
    world.put("target", "theirs")
    printed = stored(
        "found = stored.look(s3, bucket, 'source')\n"
        "try:\n"
        "    stored.copy(s3, (bucket, 'source', found), 'target', instead_of=None)\n"
        "except stored.Overtaken:\n"
        "    print('overtaken')"
    )
    assert printed == "overtaken\n"
    assert world.get("target") == b"theirs"
    assert "Uploads" not in world.s3.list_multipart_uploads(Bucket=BUCKET)


def test_of_two_that_write_once_both_get_the_same(world: World, stored: Callable[..., Any]) -> None:
    printed = stored("for n in (1, 2):\n    print(stored.write_once(s3, bucket, 'a.json', {'n': n})['n'])")
    assert printed.split() == ["1", "1"]


def test_a_version_list_goes_on_over_pages_and_ends_with_the_key(
    world: World, stored: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")  # of a page, which has 1000 on AWS
    wanted = [world.put("input/a.csv", str(number)) for number in range(12)]
    world.put("input/a.csv.gz")
    printed = stored("print('\\n'.join(stored.versions(s3, bucket, 'input/a.csv')))").split()
    assert printed == wanted[::-1]


# --- watching ---------------------------------------------------------------------------------------

WATCH = {
    "version": 1,
    "texts": 60,
    "targets": {
        "label": {"labels": {"bad": 20, "good": 40}, "confidence": {"55": 20, "99": 40}, "review": 20}
    },
    "words": {"3": 30, "24": 30},
}


def profile(good: int, bad: int) -> dict[str, Any]:
    """What training has left of data with so many texts of each label."""

    def bins(bounds: tuple[float, ...], *counts: int) -> dict[str, Any]:
        return {"bounds": list(bounds), "counts": list(counts)}

    confidence = {"mean": 0.8, "bins": bins(CONFIDENCE, 0, 30, 0, 0, 0, 60)}
    validation = {"texts": 90, "labels": {"good": 60, "bad": 30}, "confidence": confidence}
    return {
        "version": 1,
        "targets": {
            "sentiment": {
                "labels": {"good": good, "bad": bad},
                "validation": {**validation, "review_share": 0.3},
            }
        },
        "words": {"texts": 900, "mean": 13.0, "bins": bins(WORDS, 450, 0, 0, 450, 0, 0, 0)},
        "unknown": {"texts": 90, "mean": 0.1, "bins": bins(UNKNOWN, 0, 0, 0, 90, 0, 0)},
    }


def put_profile(world: World, content: dict[str, Any]) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        body = json.dumps(content).encode()
        entry = tarfile.TarInfo("profile.json")
        entry.size = len(body)
        archive.addfile(entry, io.BytesIO(body))
    world.sandbox.client("s3", SHARED).put_object(
        Bucket=MODELS, Key="models/run/output.tar.gz", Body=packed.getvalue()
    )


def test_what_was_published_becomes_metrics_that_are_compared_with_training(world: World) -> None:
    s3 = world.sandbox.client("s3", SHARED)
    s3.create_bucket(Bucket=MODELS, CreateBucketConfiguration={"LocationConstraint": REGION})
    reads = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
        "Action": "s3:GetObject",
    }
    s3.put_bucket_policy(Bucket=MODELS, Policy=_document({**reads, "Resource": f"arn:aws:s3:::{MODELS}/*"}))
    assert world.call("drift")["verdict"].endswith("no version is approved, so there is nothing to compare")
    world.approve("Approved")
    assert "no verdict: s3://" in world.call("drift")["verdict"]

    put_profile(world, profile(good=600, bad=300))
    world.answered("input/a.csv", "e1", "fine")
    world.put("work/e1/result/watch.json", json.dumps(WATCH))
    assert world.publish("e1")["Published"] == "yes"
    of = {"Name": "survey-batch-production", "Version": "1"}
    assert world.metric("Texts", **of) == 60
    assert world.metric("Answers", **of, Target="label", Label="bad") == 20
    assert world.metric("TextsByWords", **of, Bin="20-50") == 30
    assert world.metric("NeedsReview", **of, Target="label") == 20

    alike = world.call("drift")
    assert "60 texts in 7 days: like the training data, nothing above 0.2" in alike["verdict"]
    assert [each["feature"] for each in alike["findings"]].count("unknown_words") == 0  # not known here
    put_profile(world, profile(good=20, bad=880))
    other = world.call("drift")
    assert "unlike the training data, above 0.2: label labels" in other["verdict"]
    assert world.metric("Drift", Name="survey-batch-production") > 0.2


def test_answers_of_before_there_was_watching_are_published_all_the_same(world: World) -> None:
    world.approve("Approved")
    world.answered("input/a.csv", "e1", "fine")
    assert world.publish("e1")["Published"] == "yes"
