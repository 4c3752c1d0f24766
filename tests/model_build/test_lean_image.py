"""serving.image lean, from a push's build to answers in both accounts, with every role kept to its policy.

Terraform makes the registry, the build that pushes and production's endpoint. The tests are one story.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from tests.foundation.terraform_roots import may
from tests.model_build.conftest import set_model
from tests.serverless_inference.terraform_endpoint import Environment, make_environment, model
from tests.terraform_delivery import (
    PRODUCTION,
    REGION,
    SHARED,
    Terraform,
    edit_yaml,
    make_foundation,
)
from tests.terraform_deployment import (
    GROUP,
    IMAGE,
    MODELS,
    Registry,
    build_credentials,
    make_environment_foundation,
)

pytestmark = pytest.mark.slow

TEMPLATE = Path(__file__).resolve().parents[2] / "model-build/{{cookiecutter.project_slug}}"
REPOSITORY = f"{GROUP}-serving"
TARGETS = (
    "module.bucket.aws_s3_bucket_policy.this",
    "module.bucket.aws_s3_bucket_server_side_encryption_configuration.this",
    "module.build",
    "module.key",
    "module.pipeline_role",
    "module.sagemaker_role",
    "module.serving_image",
    "aws_codepipeline.this",
    "aws_ecr_lifecycle_policy.serving",
    "aws_ecr_repository_policy.serving",
    "aws_sagemaker_model_package_group_policy.this",
)
TEXT = {"inputs": ["the invoice for the lift please", "a permit"]}


@dataclass
class World:
    """A model-build repository that serves with its own image, its registry, and two accounts."""

    repository: Path
    sandbox: Sandbox
    terraform: Terraform

    def client(self, service: str) -> Any:
        """A client of an administrator of shared services."""
        return self.sandbox.client(service, SHARED)

    def image(self) -> str:
        """What this repository registers its versions with, by its own definition."""
        code = "from model_build import load, serving_image as s; from pathlib import Path; "
        code += "p = load.load(Path()); print(s.uri(p.project, p.root))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.repository, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def build(self) -> tuple[str, str]:
        """Run the project of the image on the repository as it is; its status and its log."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(self.repository.rglob("*")):
                if path.is_file() and not {".terraform", "sandbox"} & set(path.parts):
                    archive.write(path, path.relative_to(self.repository))
        key = f"{GROUP}/source.zip"
        self.client("s3").put_object(Bucket=MODELS, Key=key, Body=packed.getvalue())
        codebuild = self.client("codebuild")
        id_ = codebuild.start_build(
            projectName=f"{GROUP}-serving-image",
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{MODELS}/{key}",
        )["build"]["id"]
        while not (found := codebuild.batch_get_builds(ids=[id_])["builds"][0])["buildComplete"]:
            time.sleep(0.1)
        log = self.sandbox.folder / "builds" / id_.replace(":", "/") / "log.txt"
        return found["buildStatus"], log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def world(
    generate: Callable[..., Path], container_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Two accounts, and what Terraform makes for a repository with serving.image lean."""
    repository = generate(tmp_path_factory.mktemp("lean"))
    set_model(repository, **{"serving.runtime": "onnx", "serving.image": "lean"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_CONTAINER_PYTHON", str(container_python))
        images = Images.load(repository / "sandbox.toml")
    folder = tmp_path_factory.mktemp("accounts") / "sandbox"
    with Sandbox(folder, images, accounts=(SHARED, PRODUCTION), enforce_iam=True) as sandbox:
        make_foundation(sandbox)
        terraform = Terraform(repository / "terraform/delivery", sandbox.environment())
        terraform("init", "-no-color")
        terraform.apply(*(f"-target={target}" for target in TARGETS))
        yield World(repository, sandbox, terraform)


@pytest.fixture(scope="module")
def archive(container_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that the template's own train.py has made for ONNX Runtime."""
    folder, wheels = tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("wheels")
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(wheels)]
    pins = str(TEMPLATE / "requirements/onnx.txt")
    command = [str(container_python), "-m", "pip", "download", *options, "-r", pins]
    if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        pytest.skip(f"the wheels for ONNX Runtime cannot be had here: {done.stderr.strip()[-200:]}")
    script = Path(__file__).with_name("trained_model.py")
    done = subprocess.run(
        [str(container_python), script, TEMPLATE, folder, wheels],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / "model.tar.gz", "w:gz", compresslevel=1) as packed:
        packed.add(folder / "model", arcname=".")
    return folder / "model.tar.gz"


def test_images_stay_and_only_production_pulls_them(world: World) -> None:
    ecr = world.client("ecr")
    (made,) = ecr.describe_repositories(repositoryNames=[REPOSITORY])["repositories"]
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"]["scanOnPush"] is True
    key = world.client("kms").describe_key(KeyId=f"alias/{GROUP}")["KeyMetadata"]["Arn"]
    assert made["encryptionConfiguration"] == {"encryptionType": "KMS", "kmsKey": key}
    text = ecr.get_lifecycle_policy(repositoryName=REPOSITORY)["lifecyclePolicyText"]
    assert [rule["selection"]["tagStatus"] for rule in json.loads(text)["rules"]] == ["untagged"]
    policy = json.loads(ecr.get_repository_policy(repositoryName=REPOSITORY)["policyText"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"AWS": f"arn:aws:iam::{PRODUCTION}:root"}
    readers = statement["Condition"]["ArnLike"]["aws:PrincipalArn"]
    assert readers == [
        f"arn:aws:iam::{PRODUCTION}:role/mlops-deployment",
        f"arn:aws:iam::{PRODUCTION}:role/mlops/service/*",
    ]
    assert not [action for action in statement["Action"] if "Put" in action or "Delete" in action]


def test_a_push_builds_the_image_before_it_trains_in_a_project_of_its_own(world: World) -> None:
    stages = world.client("codepipeline").get_pipeline(name=GROUP)["pipeline"]["stages"]
    actions = [(each["name"], each["runOrder"]) for each in stages[1]["actions"]]
    assert actions == [("BuildServingImage", 1), ("UpdateAndStartTraining", 2)]
    projects = world.client("codebuild").batch_get_projects(
        names=[f"{GROUP}-build", f"{GROUP}-serving-image"]
    )
    build, image = projects["projects"]
    assert not build["environment"].get("privilegedMode")
    assert image["environment"]["privilegedMode"] is True
    assert (world.repository / image["source"]["buildspec"]).is_file()


def test_the_privileged_build_may_push_to_one_repository_and_nothing_else(world: World) -> None:
    repository = f"arn:aws:ecr:{REGION}:{SHARED}:repository"
    arn = f"arn:aws:iam::{SHARED}:role/{GROUP}-serving-image"
    assert may(arn, "ecr:PutImage", f"{repository}/{REPOSITORY}")
    assert may(arn, "s3:GetObject", f"arn:aws:s3:::{MODELS}/{GROUP}/source/abc")
    for action, resource in (
        ("ecr:PutImage", f"{repository}/another-serving"),
        ("ecr:BatchDeleteImage", f"{repository}/{REPOSITORY}"),
        ("ecr:PutImageTagMutability", f"{repository}/{REPOSITORY}"),
        ("s3:GetObject", f"arn:aws:s3:::{MODELS}/data/0123/emails.csv"),
        ("s3:PutObject", f"arn:aws:s3:::{MODELS}/models/run/model.tar.gz"),
        ("sagemaker:StartPipelineExecution", f"arn:aws:sagemaker:{REGION}:{SHARED}:pipeline/{GROUP}"),
        ("sagemaker:CreateModelPackage", f"arn:aws:sagemaker:{REGION}:{SHARED}:model-package/{GROUP}/*"),
    ):
        assert not may(arn, action, resource), action


def test_the_build_pushes_what_versions_are_registered_with_and_pushes_it_once(world: World) -> None:
    status, log = world.build()
    assert status == "SUCCEEDED", log
    (image,) = world.client("ecr").describe_images(repositoryName=REPOSITORY)["imageDetails"]
    assert world.image().endswith(f"/{REPOSITORY}:{image['imageTags'][0]}")
    status, log = world.build()
    assert status == "SUCCEEDED" and "is there already" in log, log


def registered(world: World, image: str, archive: Path) -> tuple[str, dict[str, Any]]:
    """Register an approved version; its ARN and its container."""
    key = "models/run-1/model.tar.gz"
    world.client("s3").upload_file(str(archive), MODELS, key)
    variables = {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    container = {"Image": image, "ModelDataUrl": f"s3://{MODELS}/{key}", "Environment": variables}
    arn: str = world.client("sagemaker").create_model_package(
        ModelPackageGroupName=GROUP,
        ModelApprovalStatus="Approved",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    return arn, container


def serve(sagemaker: Any, name: str, container: dict[str, Any], role: str) -> None:
    """Make an endpoint and wait for it."""
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    while (found := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Creating":
        time.sleep(0.1)
    assert found["EndpointStatus"] == "InService", found


def answer(runtime: Any, name: str) -> Any:
    """What an endpoint answers to two texts."""
    body = runtime.invoke_endpoint(
        EndpointName=name, ContentType="application/json", Body=json.dumps(TEXT).encode()
    )["Body"].read()
    return json.loads(body)


def role(world: World, account: str, path: str = "/") -> str:
    """A role of containers that may do anything: whether it gets the image, its owner decides."""
    iam = world.sandbox.client("iam", account)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    anything = {"Effect": "Allow", "Action": ["ecr:*", "kms:*", "logs:*", "s3:*"], "Resource": "*"}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (trust, anything)]
    arn: str = iam.create_role(RoleName="tried", Path=path, AssumeRolePolicyDocument=documents[0])["Role"][
        "Arn"
    ]
    iam.put_role_policy(RoleName="tried", PolicyName="all", PolicyDocument=documents[1])
    return arn


def test_the_pushed_image_answers_as_the_hugging_face_image_does(world: World, archive: Path) -> None:
    arn, container = registered(world, world.image(), archive)
    sagemaker, runtime = world.client("sagemaker"), world.client("sagemaker-runtime")
    acts_as = role(world, SHARED)
    serve(sagemaker, "lean", {"ModelPackageName": arn}, acts_as)
    serve(sagemaker, "huggingface", {**container, "Image": IMAGE}, acts_as)
    found = answer(runtime, "lean")
    assert len(found) == 2 and found == answer(runtime, "huggingface")
    # the server comes from the registry, not from anybody's working tree
    (server,) = (world.sandbox.folder / "endpoints").rglob("opt/server/server.py")
    assert server.read_bytes() == (world.repository / "serving_image/server.py").read_bytes()


@pytest.fixture(scope="module")
def production(
    world: World, generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """The other account, as the foundation gives it to the builds of an endpoint's repository."""
    serving = generate(tmp_path_factory.mktemp("serving"), directory="serverless-inference")
    packages = world.client("sagemaker").list_model_packages(ModelPackageGroupName=GROUP)
    registry = Registry(world.sandbox, {1: packages["ModelPackageSummaryList"][0]["ModelPackageArn"]})
    folder = tmp_path_factory.mktemp("production")
    make_environment_foundation("production", folder, world.sandbox)
    return make_environment("production", serving, folder, registry)


def test_production_serves_a_copy_in_its_own_registry(world: World, production: Environment) -> None:
    """A serverless endpoint takes an image that is not AWS's from its own account alone."""
    image = world.image()
    copied = image.replace(SHARED, PRODUCTION, 1)
    keys = build_credentials(world.sandbox, "email-router-endpoint", "production")
    build = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_SESSION_TOKEN"])
    endpoint = {"region_name": REGION, "endpoint_url": world.sandbox.endpoint_url}
    given = build.client("sts", **endpoint).assume_role(RoleArn=production.role_arn, RoleSessionName="build")
    deployment = {
        **keys,
        "AWS_ACCESS_KEY_ID": given["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["Credentials"]["SessionToken"],
    }
    sagemaker = boto3.client(
        "sagemaker",
        aws_access_key_id=deployment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=deployment["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=deployment["AWS_SESSION_TOKEN"],
        **endpoint,
    )
    package = {"ModelPackageName": production.registry.arns[1]}
    with pytest.raises(sagemaker.exceptions.ClientError, match="within the same AWS account creating"):
        serve(sagemaker, "of-the-package", package, role(world, PRODUCTION, "/mlops/service/"))
    code = "import sys, boto3; from serverless_inference import own_image; "
    code += "own_image.copy(sys.argv[1], sys.argv[2], boto3.client('ecr'), print)"
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, image, copied],
            cwd=production.repository,
            env={**os.environ, **deployment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "copied from account" in said[0] and said[1] == ""  # once is enough
    digests = {
        account: world.sandbox.client("ecr", account).describe_images(repositoryName=REPOSITORY)[
            "imageDetails"
        ][0]["imageDigest"]
        for account in (SHARED, PRODUCTION)
    }
    assert digests[SHARED] == digests[PRODUCTION]
    variables = {"SAGEMAKER_PROGRAM": "inference.py"}
    parts = {"image": copied, "copy_of": image, "variables": variables}
    record = {**model(production.registry, 1), **parts}
    production.record(1)
    document = json.loads(production.record_path.read_text(encoding="utf-8"))
    production.write_record({**document, "model": record})
    production.apply()
    production.assert_nothing_to_do()
    found = answer(production.client("sagemaker-runtime"), production.endpoint_name)
    assert found == answer(world.client("sagemaker-runtime"), "lean")


def test_back_at_awss_image_what_is_there_stays_and_nothing_builds(world: World) -> None:
    edit_yaml(world.repository / "config/model.yaml", serving={"runtime": "onnx"})
    world.terraform.apply(*(f"-target={target}" for target in TARGETS))
    ecr, codebuild = world.client("ecr"), world.client("codebuild")
    assert ecr.describe_images(repositoryName=REPOSITORY)["imageDetails"]
    assert codebuild.list_projects()["projects"] == [f"{GROUP}-build"]
    stages = world.client("codepipeline").get_pipeline(name=GROUP)["pipeline"]["stages"]
    assert [each["name"] for each in stages[1]["actions"]] == ["UpdateAndStartTraining"]
