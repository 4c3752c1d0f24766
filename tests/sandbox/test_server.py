"""The sandbox as a whole: how it is opened, who may ask it, and what a process imports before it can work."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.session import current
from tests.waiting import FOREVER

ACCOUNT, OTHER_ACCOUNT = "111111111111", "222222222222"


def test_it_listens_on_loopback_only(sandbox):
    assert sandbox.endpoint_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("account", [ACCOUNT, OTHER_ACCOUNT])
def test_the_access_key_decides_the_account(sandbox, account):
    identity = sandbox.client("sts", account=account).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{account}:user/sandbox"


def test_accounts_do_not_see_each_others_buckets(sandbox, bucket):
    other = sandbox.client("s3", account=OTHER_ACCOUNT)
    assert other.list_buckets()["Buckets"] == []
    with pytest.raises(ClientError, match="BucketAlreadyExists"):
        other.create_bucket(
            Bucket=bucket.name, CreateBucketConfiguration={"LocationConstraint": "ca-central-1"}
        )


def test_the_environment_leads_a_plain_client_to_the_account(sandbox, tmp_path):
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id=x\naws_secret_access_key=y\n")
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    environment = {
        "PATH": os.environ["PATH"],
        "HTTP_PROXY": "http://127.0.0.1:9",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        **sandbox.environment(OTHER_ACCOUNT),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == OTHER_ACCOUNT, done.stderr


def test_an_unknown_account_is_refused_by_name(sandbox):
    with pytest.raises(SandboxError, match=r"expected one of 111111111111, 222222222222, got '333333333333'"):
        sandbox.client("s3", account="333333333333")


@pytest.mark.parametrize(
    ("accounts", "message"),
    [(["12"], "expected 12 digits, got '12'"), ([], "one or more"), ([ACCOUNT, ACCOUNT], "one or more")],
)
def test_bad_accounts_are_refused(tmp_path, accounts, message):
    with pytest.raises(SandboxError, match=message):
        Sandbox(tmp_path, accounts=accounts)


def test_a_second_sandbox_in_the_same_process_is_refused(sandbox, tmp_path):
    with pytest.raises(SandboxError, match="has a sandbox open already"), Sandbox(tmp_path / "second"):
        pass
    assert current() is sandbox


def test_a_second_process_on_the_same_folder_is_told_the_first_ones_id(sandbox):
    code = f"from mlops_workbench.sandbox import Sandbox\nwith Sandbox({str(sandbox.folder)!r}): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"in use by process {os.getpid()}; wait for it to end, or use another folder")


def test_a_closed_sandbox_frees_its_folder_and_port(tmp_path):
    with Sandbox(tmp_path) as first:
        url = first.endpoint_url
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=FOREVER)
    with pytest.raises(SandboxError, match="not open"):
        _ = first.endpoint_url
    with pytest.raises(SandboxError, match="no sandbox is open"):
        current()
    with Sandbox(tmp_path):
        pass


@pytest.mark.parametrize("headers", [{"Origin": "https://example.org"}, {"Host": "example.org"}])
def test_web_pages_are_refused(sandbox, headers):
    request = urllib.request.Request(sandbox.endpoint_url, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code == 403


def test_a_call_that_moto_does_not_have_is_refused_at_once(sandbox):
    with pytest.raises(ClientError) as error:
        sandbox.client("sagemaker").create_action(
            ActionName="a", Source={"SourceUri": "s3://b/k"}, ActionType="x"
        )
    answer = error.value.response
    assert answer["Error"]["Code"] == "UnknownOperationException"
    assert "create_action" in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0


def test_a_fault_inside_a_call_is_a_400_with_its_reason(sandbox, monkeypatch):
    from moto.sagemaker.responses import SageMakerResponse

    def broken(self):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(SageMakerResponse, "list_models", broken)
    with pytest.raises(ClientError) as error:
        sandbox.client("sagemaker").list_models()
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "RuntimeError: broken on purpose" in str(error.value)


def test_a_key_with_a_delete_marker_can_be_deleted_with_all_its_versions(sandbox, bucket):
    versioning = {"Status": "Enabled"}
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration=versioning)
    bucket.put("lock", b"1")
    bucket.client.delete_object(Bucket=bucket.name, Key="lock")
    listed = bucket.client.list_object_versions(Bucket=bucket.name)
    objects = [
        {"Key": entry["Key"], "VersionId": entry["VersionId"]}
        for entry in listed["Versions"] + listed["DeleteMarkers"]
    ]
    bucket.client.delete_objects(Bucket=bucket.name, Delete={"Objects": objects})
    assert "Versions" not in bucket.client.list_object_versions(Bucket=bucket.name)


def test_who_asks_whether_a_body_may_come_is_told_before_it_comes(sandbox, bucket):
    # boto3 asks before each object that it writes, and without an answer waits a second
    address = sandbox.endpoint_url.removeprefix("http://")
    host, _, port = address.partition(":")
    head = f"PUT /{bucket.name}/key HTTP/1.1\r\nHost: {address}\r\nContent-Length: 4\r\n"
    with socket.create_connection((host, int(port)), timeout=FOREVER) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 100"


def test_a_snapshot_waits_for_requests_and_requests_for_it(sandbox, bucket):
    errors = []

    def write() -> None:
        try:
            for number in range(30):
                bucket.put(f"{threading.get_ident()}/{number}", b"x")
        except Exception as error:
            errors.append(error)

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        sandbox.save()
    assert errors == []
    assert len(bucket.keys()) == 90


def test_the_first_account_is_the_default(tmp_path: Path):
    with Sandbox(tmp_path, accounts=(OTHER_ACCOUNT, ACCOUNT)) as opened:
        identity = opened.client("sts").get_caller_identity()
    assert json.dumps(identity["Account"]) == f'"{OTHER_ACCOUNT}"'


def test_an_answer_leaves_in_one_piece_with_its_length(sandbox):
    port = int(sandbox.endpoint_url.rsplit(":", 1)[1])
    for path in ("/", "/nothing/here"):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            head, _, body = client.recv(65536).partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        assert body and lengths == [b"content-length: %d" % len(body)]


def imported_by(script: str, folder: Path) -> set[str]:
    """The modules that a new process has at the end of a script."""
    tell = "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script + tell], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["mlops_workbench.sandbox.cli", "mlops_workbench.sandbox.services.sagemaker.pipelines.prepare"]
)
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
