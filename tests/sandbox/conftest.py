"""A real sandbox for each test: moto over HTTP, its state in the test's folder; jobs are real processes."""

from __future__ import annotations

import io
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.containers.context import JobContext
from mlops_workbench.sandbox.images import Images

ACCOUNT, OTHER_ACCOUNT = "111111111111", "222222222222"
REGION = "ca-central-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sandbox"
IMAGE = "111111111111.dkr.ecr.ca-central-1.amazonaws.com/anything:latest"


@pytest.fixture
def images() -> Images:
    """This test's own Python for every image."""
    return Images.single(sys.executable)


@pytest.fixture
def sandbox(tmp_path: Path, images: Images) -> Iterator[Sandbox]:
    """An open sandbox with two accounts."""
    with Sandbox(tmp_path / "sandbox", images, accounts=(ACCOUNT, OTHER_ACCOUNT), region=REGION) as opened:
        yield opened


@dataclass
class Bucket:
    """A bucket with a few short ways to write and read text."""

    client: Any
    name: str = "test-bucket"

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def put(self, key: str, body: bytes | str = b"") -> str:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return self.uri(key)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def keys(self, prefix: str = "") -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def tar(self, key: str) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.get(key))) as archive:
            return sorted(archive.getnames())


@pytest.fixture
def bucket(sandbox: Sandbox) -> Bucket:
    """An empty bucket."""
    made = Bucket(sandbox.client("s3"))
    made.client.create_bucket(Bucket=made.name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return made


@dataclass
class Jobs:
    """Makes contexts, and keeps what their jobs print."""

    sandbox: Sandbox
    lines: list[str] = field(default_factory=list)

    def context(self, name: str = "job", **changes: Any) -> JobContext:
        values: dict[str, Any] = {
            "name": name,
            "account": ACCOUNT,
            "region": REGION,
            "folder": self.sandbox.folder / "jobs" / name,
            "images": self.sandbox.images,
            "aws_environment": self.sandbox.environment(),
            "log": lambda job, line: self.lines.append(line),
            "stop": threading.Event(),
            "grace_seconds": 2.0,
        }
        return JobContext(**values | changes)


@pytest.fixture
def jobs(sandbox: Sandbox) -> Jobs:
    """Contexts for jobs of the sandbox."""
    return Jobs(sandbox)


def archive(files: dict[str, str]) -> bytes:
    """A .tar.gz of the files, by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def make_archive() -> Callable[[dict[str, str]], bytes]:
    """Makes a .tar.gz of files, by name."""
    return archive


@pytest.fixture(params=["namespace", "rewriting"])
def each_way_of_paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs with a mount namespace, where this machine allows one, and with rewritten paths."""
    from mlops_workbench.sandbox.containers import hosts

    if request.param == "rewriting":
        monkeypatch.setenv(hosts.SWITCH, "off")
    elif hosts.Paths.available().unshare is None:
        pytest.skip("this machine refuses mount namespaces")
    way: str = request.param
    return way
