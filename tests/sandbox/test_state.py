import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import SandboxError

REGION = {"LocationConstraint": "ca-central-1"}


def objects(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "state" / "objects").iterdir()}


def test_objects_with_their_versions_and_metadata_are_there_again(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="data", CreateBucketConfiguration=REGION)
        s3.put_bucket_versioning(Bucket="data", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="data", Key="a/é b", Body=b"one", Metadata={"owner": "me"})
        s3.put_object(Bucket="data", Key="a/é b", Body=b"two", Metadata={"owner": "you"})
        before = s3.list_object_versions(Bucket="data")["Versions"]
    with Sandbox(tmp_path) as sandbox:
        s3 = sandbox.client("s3")
        after = s3.list_object_versions(Bucket="data")["Versions"]
        assert sandbox.notices == []
        assert after == before
        bodies = [
            s3.get_object(Bucket="data", Key="a/é b", VersionId=version["VersionId"])["Body"].read()
            for version in after
        ]
        assert bodies == [b"two", b"one"]
        assert s3.head_object(Bucket="data", Key="a/é b")["Metadata"] == {"owner": "you"}
        assert s3.get_object(Bucket="data", Key="a/é b", Range="bytes=1-1")["Body"].read() == b"w"
        with pytest.raises(ClientError, match="BucketAlready"):
            s3.create_bucket(Bucket="data", CreateBucketConfiguration=REGION)


def test_a_large_object_is_written_once_whatever_refers_to_it(tmp_path):
    big = os.urandom(20_000_000)
    name = hashlib.sha256(big).hexdigest()
    with Sandbox(tmp_path) as sandbox:
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket="data", CreateBucketConfiguration=REGION)
        s3.upload_fileobj(io.BytesIO(big), "data", "model")  # in parts
        s3.copy({"Bucket": "data", "Key": "model"}, "data", "copy")
        sandbox.save()
        first = objects(tmp_path)[name]
        s3.put_object(Bucket="data", Key="small", Body=b"x")
    assert objects(tmp_path)[name] == first
    assert (tmp_path / "state" / "snapshot").stat().st_size < 1_000_000
    with Sandbox(tmp_path) as sandbox:
        s3 = sandbox.client("s3")
        assert s3.get_object(Bucket="data", Key="copy")["Body"].read() == big
        s3.delete_object(Bucket="data", Key="copy")
        s3.delete_object(Bucket="data", Key="model")
    assert name not in objects(tmp_path)


def test_other_services_are_there_again(tmp_path):
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): return event")
    with Sandbox(tmp_path) as sandbox:
        admitted = {"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [admitted]})
        role = sandbox.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        sandbox.client("lambda").create_function(
            FunctionName="f", Runtime="python3.12", Role=role, Handler="app.handler",
            Code={"ZipFile": code.getvalue()},
        )  # fmt: skip
        kms = sandbox.client("kms")
        symmetric = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
        secret = kms.encrypt(KeyId=symmetric, Plaintext=b"hello")["CiphertextBlob"]
        sandbox.client("ssm").put_parameter(Name="/p", Value="v", Type="String")
        sandbox.client("sagemaker").create_model_package_group(ModelPackageGroupName="g")
        role = "arn:aws:iam::111111111111:role/r"
        session = sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="session")
        assert session["Credentials"]["AccessKeyId"]
    with Sandbox(tmp_path) as sandbox:
        assert sandbox.notices == []
        assert sandbox.client("lambda").get_function(FunctionName="f")["Configuration"]["Handler"]
        assert sandbox.client("kms").decrypt(CiphertextBlob=secret)["Plaintext"] == b"hello"
        assert sandbox.client("ssm").get_parameter(Name="/p")["Parameter"]["Value"] == "v"
        groups = sandbox.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
        assert [group["ModelPackageGroupName"] for group in groups] == ["g"]


def test_a_process_that_is_killed_leaves_the_last_snapshot(tmp_path):
    program = f"""
        import os, signal
        from mlops_workbench.sandbox import Sandbox
        with Sandbox({str(tmp_path)!r}) as sandbox:
            s3 = sandbox.client("s3")
            s3.create_bucket(Bucket="data", CreateBucketConfiguration={REGION!r})
            s3.put_object(Bucket="data", Key="saved", Body=b"1")
            sandbox.save()
            s3.put_object(Bucket="data", Key="lost", Body=b"2")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)])
    assert done.returncode == -signal.SIGKILL
    (tmp_path / "state" / "snapshot.new").write_bytes(b"half a snapsh")
    (tmp_path / "state" / "objects" / "new-half").write_bytes(b"half an obj")
    with Sandbox(tmp_path) as sandbox:
        assert sandbox.notices == []
        listed = sandbox.client("s3").list_objects_v2(Bucket="data")["Contents"]
        assert [entry["Key"] for entry in listed] == ["saved"]
    assert "new-half" not in objects(tmp_path)


def spoil(snapshot: Path, how: str) -> None:
    content = snapshot.read_bytes()
    header, _, payload = content.partition(b"\n")
    if how == "empty":
        content = b""
    elif how == "flipped":
        content = content[:-10] + b"0123456789"
    elif how == "cut":
        content = content[: len(content) // 2]
    elif how == "earlier layout":
        content = json.dumps({**json.loads(header), "format": 2}).encode() + b"\n" + payload
    elif how == "other version":
        content = json.dumps({**json.loads(header), "moto": "4.0.0"}).encode() + b"\n" + payload
    snapshot.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "no readable header"),
        ("flipped", "checksum does not match"),
        ("cut", "checksum does not match"),
        ("other version", r"written with moto 4\.0\.0"),
        ("earlier layout", r"written with another version of the sandbox \(format 2, not 3\)"),
    ],
)
def test_a_snapshot_that_cannot_be_used_is_set_aside(tmp_path, how, message):
    with Sandbox(tmp_path) as sandbox:
        sandbox.client("s3").create_bucket(Bucket="data", CreateBucketConfiguration=REGION)
        sandbox.client("s3").put_object(Bucket="data", Key="a", Body=b"1")
    kept = objects(tmp_path)
    spoil(tmp_path / "state" / "snapshot", how)
    with Sandbox(tmp_path) as sandbox:
        (notice,) = sandbox.notices
        assert sandbox.client("s3").list_buckets()["Buckets"] == []
    assert re.search(message, notice)
    (aside,) = tmp_path.glob("state.*")
    assert str(aside) in notice
    assert {path.name for path in (aside / "objects").iterdir()} == set(kept)


def test_a_missing_object_file_sets_the_state_aside(tmp_path):
    with Sandbox(tmp_path) as sandbox:
        sandbox.client("s3").create_bucket(Bucket="data", CreateBucketConfiguration=REGION)
        sandbox.client("s3").put_object(Bucket="data", Key="a", Body=b"1")
    for path in (tmp_path / "state" / "objects").iterdir():
        path.unlink()
    with Sandbox(tmp_path) as sandbox:
        assert "the bytes of an object are missing" in sandbox.notices[0]
        assert sandbox.client("s3").list_buckets()["Buckets"] == []


def test_the_state_is_readable_by_its_owner_only(tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    with Sandbox(tmp_path):
        pass
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("what", ["state", "state/snapshot"])
def test_a_state_of_another_user_is_refused(tmp_path, what):
    with Sandbox(tmp_path):
        pass
    os.chown(tmp_path / what, 12345, 12345)
    with pytest.raises(SandboxError, match="12345"), Sandbox(tmp_path):
        pass


def test_a_snapshot_that_is_a_link_is_refused(tmp_path):
    with Sandbox(tmp_path):
        pass
    snapshot = tmp_path / "state" / "snapshot"
    snapshot.rename(tmp_path / "elsewhere")
    snapshot.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SandboxError, match="cannot be read"), Sandbox(tmp_path):
        pass


def test_a_job_that_its_process_left_behind_has_failed(tmp_path):
    program = f"""
        import os, signal, sys, time
        from mlops_workbench.sandbox import Sandbox
        from mlops_workbench.sandbox.images import Images
        with Sandbox({str(tmp_path)!r}, Images.single(sys.executable)) as sandbox:
            sandbox.client("sagemaker").create_processing_job(
                ProcessingJobName="sleeper", RoleArn="arn:aws:iam::111111111111:role/sandbox",
                AppSpecification={{"ImageUri": "any", "ContainerEntrypoint": ["sleep", "8341"]}},
                ProcessingResources={{"ClusterConfig": {{"InstanceCount": 1, "InstanceType": "ml.m5.large",
                                                         "VolumeSizeInGB": 1}}}})
            while not os.popen("pgrep -f '^sleep 8341'").read():
                time.sleep(0.02)
            sandbox.save()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)])
    with Sandbox(tmp_path) as sandbox:
        job = sandbox.client("sagemaker").describe_processing_job(ProcessingJobName="sleeper")
    assert job["ProcessingJobStatus"] == "Failed"
    assert "the sandbox's process ended before the job did" in job["FailureReason"]
    assert subprocess.run(["pgrep", "-f", "^sleep 8341"], capture_output=True).stdout == b""
