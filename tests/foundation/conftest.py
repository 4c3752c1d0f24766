"""The foundation's Bitbucket bridge and a test double of Bitbucket, over real boto3, git and TLS."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bitbucket_data_center import BitbucketDataCenter, sign

from mlops_workbench.sandbox import Sandbox

ACCOUNT, REGION = "111111111111", "ca-central-1"
PREFIX = "mlops/bitbucket/webhook/"
SECRET, PROJECT, REPOSITORY = "a secret of the webhook", "ML", "email-router"


@pytest.fixture
def bitbucket(tmp_path: Path) -> Iterator[BitbucketDataCenter]:
    """A Bitbucket with one project."""
    with BitbucketDataCenter(tmp_path / "bitbucket") as opened:
        opened.create_project(PROJECT)
        yield opened


@dataclass
class Clone:
    """A working copy of a repository of the double."""

    folder: Path
    environment: dict[str, str]

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, subject: str, **files: str) -> str:
        """Commit files (by name) and return the commit's id."""
        for name, text in (files or {"file.txt": subject}).items():
            (self.folder / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def push(self, *refs: str) -> None:
        self.git("push", "--quiet", "origin", *(refs or ("main",)))


@pytest.fixture
def clone(bitbucket: BitbucketDataCenter, own_settings: Path, tmp_path: Path) -> Clone:
    """A clone of an empty repository, made by git over the double's TLS."""
    repository = bitbucket.create_repository(PROJECT, REPOSITORY)
    folder = tmp_path / "clone"
    made = Clone(tmp_path, {**os.environ, **bitbucket.git_environment()})
    made.git("clone", "--quiet", repository.clone_url, str(folder))
    made.folder = folder
    made.git("checkout", "--quiet", "-B", "main")
    return made


@dataclass
class Aws:
    """The bridge's resources in a sandbox."""

    sandbox: Sandbox
    queue_url: str
    key_arn: str
    bucket: str = "mlops-source"

    def client(self, service: str) -> Any:
        return self.sandbox.client(service)

    def register(self, repository: str = REPOSITORY, secret: str = SECRET, project: str = PROJECT) -> None:
        """Write a webhook's secret as `register` does, whether it is there or not."""
        secrets, name = self.client("secretsmanager"), PREFIX + repository
        value = json.dumps({"secret": secret, "project": project})
        try:
            secrets.create_secret(Name=name, SecretString=value)
        except secrets.exceptions.ResourceExistsException:
            secrets.put_secret_value(SecretId=name, SecretString=value)

    def queued(self) -> list[dict[str, Any]]:
        """Take all messages from the queue."""
        sqs, taken = self.client("sqs"), []
        while found := sqs.receive_message(QueueUrl=self.queue_url, MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                taken.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return taken

    def versions(self, key: str) -> int:
        """How often an object was written."""
        listed = self.client("s3").list_object_versions(Bucket=self.bucket, Prefix=key)
        return sum(version["Key"] == key for version in listed.get("Versions", []))

    def objects(self) -> list[str]:
        listed = self.client("s3").list_objects_v2(Bucket=self.bucket)
        return [entry["Key"] for entry in listed.get("Contents", [])]


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """A sandbox with the bridge's queue, bucket and key, and the environment of its functions."""
    with Sandbox(tmp_path / "sandbox", accounts=(ACCOUNT,), region=REGION) as sandbox:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        queue_url = sandbox.client("sqs").create_queue(QueueName="mlops-bitbucket")["QueueUrl"]
        key_arn = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
        made = Aws(sandbox, queue_url, key_arn)
        s3 = sandbox.client("s3")
        s3.create_bucket(Bucket=made.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
        monkeypatch.setenv("QUEUE_URL", queue_url)
        monkeypatch.setenv("SECRET_PREFIX", PREFIX)
        monkeypatch.setenv("TOKEN_SECRET_ID", "mlops/bitbucket/token")
        monkeypatch.setenv("SOURCE_BUCKET", made.bucket)
        monkeypatch.setenv("KMS_KEY_ARN", key_arn)
        monkeypatch.setenv("MAX_ARCHIVE_BYTES", "1000000")
        yield made


@pytest.fixture
def webhook(aws: Aws) -> ModuleType:
    """The function behind the webhook's URL, freshly started."""
    from bridge import webhook

    webhook.service.cache_clear()
    return webhook


@pytest.fixture
def fetch(aws: Aws, bitbucket: BitbucketDataCenter, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function behind the queue, freshly started, with a token that may only read."""
    from bridge import fetch

    fetch.clients.cache_clear()
    monkeypatch.setenv("BITBUCKET_URL", bitbucket.url)
    value = {"token": bitbucket.add_token("READ"), "ca_pem": bitbucket.ca_pem}
    secrets = aws.client("secretsmanager")
    secrets.create_secret(Name="mlops/bitbucket/token", SecretString=json.dumps(value))
    return fetch


@dataclass
class Context:
    """Lambda's context: how long the function may still run."""

    seconds: float = 40.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def context() -> Callable[..., Context]:
    """Makes Lambda's context."""
    return Context


Request = Callable[..., dict[str, Any]]


@pytest.fixture
def gateway() -> Request:
    """Makes the event that API Gateway's HTTP API (payload 2.0) gives to a function for a POST."""

    def make(
        body: bytes | dict[str, Any],
        repository: str = REPOSITORY,
        secret: str | None = SECRET,
        event_key: str | None = "repo:refs_changed",
        encoded: bool = False,
        **headers: str,
    ) -> dict[str, Any]:
        import base64

        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json; charset=utf-8", "x-request-id": "request-1"}
        if event_key is not None:
            sent["x-event-key"] = event_key
        if secret is not None:
            sent["x-hub-signature"] = sign(secret, raw)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/bitbucket/{repository}"
        return {
            "version": "2.0",
            "routeKey": "POST /bitbucket/{repository}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": sent,
            "pathParameters": {"repository": repository},
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": "abc",
                "domainName": "abc.execute-api.ca-central-1.amazonaws.com",
                "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
                "requestId": "id",
                "routeKey": "POST /bitbucket/{repository}",
                "stage": "$default",
            },
            "body": base64.b64encode(raw).decode() if encoded else raw.decode("utf-8", "surrogateescape"),
            "isBase64Encoded": encoded,
        }

    return make


def change(
    branch: str = "main", commit: str = "a" * 40, kind: str = "UPDATE", ref: str | None = None
) -> dict[str, Any]:
    """An entry of a push's `changes`."""
    name = ref or f"refs/heads/{branch}"
    what = "BRANCH" if name.startswith("refs/heads/") else "TAG"
    return {
        "ref": {"id": name, "displayId": name.split("/", 2)[-1], "type": what},
        "refId": name,
        "fromHash": "0" * 40 if kind == "ADD" else "b" * 40,
        "toHash": "0" * 40 if kind == "DELETE" else commit,
        "type": kind,
    }


@pytest.fixture
def push() -> Request:
    """Makes the body of a push event."""

    def make(
        *changes: dict[str, Any], repository: str = REPOSITORY, project: str = PROJECT
    ) -> dict[str, Any]:
        return {
            "eventKey": "repo:refs_changed",
            "date": "2026-01-02T03:04:05+0000",
            "actor": {"name": "tester", "id": 1, "slug": "tester", "type": "NORMAL"},
            "repository": {
                "slug": repository,
                "id": 1,
                "name": repository,
                "scmId": "git",
                "project": {"key": project, "id": 1, "name": project, "type": "NORMAL"},
            },
            "changes": list(changes or (change(),)),
        }

    return make


@pytest.fixture
def changed() -> Request:
    """Makes an entry of a push's `changes`."""
    return change


@pytest.fixture
def sqs_event() -> Request:
    """Makes the event that Lambda's event source mapping gives to a function for messages."""

    def make(*bodies: dict[str, Any] | str) -> dict[str, Any]:
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        return {
            "Records": [
                {
                    "messageId": f"message-{number}",
                    "receiptHandle": "handle",
                    "body": text,
                    "attributes": {"ApproximateReceiveCount": "1"},
                    "messageAttributes": {},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:mlops-bitbucket",
                    "awsRegion": REGION,
                }
                for number, text in enumerate(texts)
            ]
        }

    return make
