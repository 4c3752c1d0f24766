"""Images: built by a privileged project without containers, pushed to the sandbox's ECR, and served."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services.codebuild.docker import instructions
from tests.sandbox.services.codebuild.test_builds import ENVIRONMENT, Project, commands
from tests.sandbox.services.sagemaker.endpoints.world import BUCKET, A, B, Endpoints, tar, variant

REGION = "ca-central-1"
HOST = f"{A}.dkr.ecr.{REGION}.amazonaws.com"
IMAGE = f"{HOST}/router-serving:1-py312"
DOCKERFILE = """\
# what it is
FROM public.ecr.aws/docker/library/python:3.12-slim@sha256:0000
LABEL made.by=test
COPY server.py \\
     /opt/server/
ENV WORD=hello OTHER="two words"
EXPOSE 8080
ENTRYPOINT ["python", "/opt/server/server.py"]
CMD ["serve"]
"""
#: Answers with a variable of the image, and with what it finds of the model.
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def answer(self, body=b"{}"):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = answer

    def do_POST(self):
        base = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
        self.answer(f"{os.environ['WORD']} {open(base + '/model/name').read()} {sys.argv[1]}".encode())

print("listening", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


class ImageBuilds(Project):
    """A privileged project, and a repository for what it builds."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, environment={**ENVIRONMENT, "privilegedMode": True})
        self.ecr = sandbox.client("ecr")
        self.ecr.create_repository(repositoryName="router-serving", imageTagMutability="IMMUTABLE")

    def make(self, dockerfile: str = DOCKERFILE, login: bool = True) -> dict[str, Any]:
        """Build and push an image."""
        files = {"Dockerfile": dockerfile, "server.py": SERVER}
        coded = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
        written = [f"echo {text} | base64 -d > {name}" for name, text in coded.items()]
        signed_in = [f"echo secret | docker login --username AWS --password-stdin {HOST}"] if login else []
        made = ["docker build --platform linux/amd64 --tag " + IMAGE + " ."]
        return self.run(commands(build=[*written, *signed_in, *made, f"docker push {IMAGE}"]))


@pytest.fixture
def builds(sandbox: Sandbox) -> ImageBuilds:
    return ImageBuilds(sandbox)


def test_a_build_pushes_an_image_that_can_be_pulled_again(builds: ImageBuilds) -> None:
    build = builds.make()
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    assert "what runs is the Python that sandbox.toml declares" in builds.log(build)
    (image,) = builds.ecr.describe_images(repositoryName="router-serving")["imageDetails"]
    assert image["imageTags"] == ["1-py312"]
    again = builds.make()  # a tag is never moved
    assert again["buildStatus"] == "FAILED" and "ImageAlreadyExists" in builds.log(again)


def test_an_image_is_there_after_a_restart(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "kept", accounts=(A,), region=REGION) as sandbox:
        assert ImageBuilds(sandbox).make()["buildStatus"] == "SUCCEEDED"
    with Sandbox(tmp_path / "kept", accounts=(A,), region=REGION) as sandbox:
        assert sandbox.notices == []
        ecr = sandbox.client("ecr")
        (image,) = ecr.batch_get_image(repositoryName="router-serving", imageIds=[{"imageTag": "1-py312"}])[
            "images"
        ]
        for part in json.loads(image["imageManifest"])["layers"]:
            told = ecr.get_download_url_for_layer(repositoryName="router-serving", layerDigest=part["digest"])
            content = Path(unquote(urlsplit(told["downloadUrl"]).path)).read_bytes()
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == part["digest"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("WORKDIR /opt", "line 10: WORKDIR: the sandbox builds without containers and knows CMD, COPY, ENT"),
        ("RUN apt-get update", "line 10: RUN: expected pip install … -r FILE, got apt-get update"),
        ("COPY other.py /opt/", "line 10: COPY: other.py: expected a file"),
        ("CMD serve", "line 10: CMD: expected a list of texts"),
        ("FROM python:3.12", "line 10: FROM: expected one stage"),
    ],
)
def test_what_it_does_not_know_is_refused_by_line(builds: ImageBuilds, line: str, message: str) -> None:
    build = builds.make(f"{DOCKERFILE}{line}\n")
    assert build["buildStatus"] == "FAILED"
    assert message in builds.log(build)


def test_a_push_without_a_login_is_refused(builds: ImageBuilds) -> None:
    build = builds.make(login=False)
    assert build["buildStatus"] == "FAILED" and "log in first" in builds.log(build)


def test_docker_is_there_for_privileged_projects_only(sandbox: Sandbox) -> None:
    project = Project(sandbox)
    build = project.run(commands(build=['test ! -e "$VIRTUAL_ENV/bin/docker"']))
    assert build["buildStatus"] == "SUCCEEDED"


def test_instructions_are_told_by_the_line_that_they_begin_in() -> None:
    assert list(instructions("# a\nRUN one \\\n  # between\n  two\n\nCMD []\n")) == [
        (2, "RUN", "one  two"),
        (6, "CMD", "[]"),
    ]


# --- served ------------------------------------------------------------------------------------------


@pytest.fixture
def two_accounts(tmp_path: Path, container_python: Path) -> Iterator[Sandbox]:
    """The account with the registry, and another; roles may do what their policies say."""
    images = Images.single(container_python)
    with Sandbox(tmp_path / "two", images, accounts=(A, B), region=REGION, enforce_iam=True) as sandbox:
        yield sandbox


def test_a_model_is_served_by_the_pushed_image_as_far_as_its_role_may_pull(two_accounts: Sandbox) -> None:
    sandbox = two_accounts
    builds = ImageBuilds(sandbox)
    allowed = {"Effect": "Allow", "Action": ["ecr:*", "logs:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sandbox.client("iam").put_role_policy(RoleName="build", PolicyName="push", PolicyDocument=policy)
    build = builds.make()
    assert build["buildStatus"] == "SUCCEEDED", builds.log(build)
    world = Endpoints(sandbox)
    world.bucket().put_object(Bucket=BUCKET, Key="m/model.tar.gz", Body=tar({"name": "router"}))
    role = serving_role(sandbox, A, "serving", f"arn:aws:ecr:{REGION}:{A}:repository/router-serving")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/m/model.tar.gz"}
    world.sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
    world.sagemaker.create_endpoint_config(EndpointConfigName="m", ProductionVariants=[variant("m")])
    world.create("m", "m")
    assert world.ask("m") == "hello router serve"
    assert not list((sandbox.folder / "endpoints").rglob("new-*"))


def serving_role(sandbox: Sandbox, account: str, name: str, repository: str) -> str:
    """A role of containers that may pull from one repository and read every model."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    statements = [
        {"Effect": "Allow", "Action": pull, "Resource": repository},
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket", "logs:*"], "Resource": "*"},
    ]
    iam = sandbox.client("iam", account)
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="serve", PolicyDocument=policy)
    return arn


def test_another_account_pulls_if_the_repository_lets_it(two_accounts: Sandbox) -> None:
    ecr, foreign = two_accounts.client("ecr", A), two_accounts.client("ecr", B)
    ecr.create_repository(repositoryName="router-serving")
    manifest = json.dumps({"schemaVersion": 2, "config": {}, "layers": []})
    ecr.put_image(
        repositoryName="router-serving",
        imageManifest=manifest,
        imageManifestMediaType="application/vnd.docker.distribution.manifest.v2+json",
        imageTag="1",
    )
    wanted = {"registryId": A, "repositoryName": "router-serving", "imageIds": [{"imageTag": "1"}]}
    with pytest.raises(ClientError, match="AccessDenied"):
        foreign.batch_get_image(**wanted)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{B}:root"},
        "Action": "ecr:BatchGetImage",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    ecr.set_repository_policy(repositoryName="router-serving", policyText=policy)
    assert foreign.batch_get_image(**wanted)["images"][0]["imageManifest"] == manifest
    with pytest.raises(ClientError, match="AccessDenied"):
        foreign.describe_images(registryId=A, repositoryName="router-serving")
