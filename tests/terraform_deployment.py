"""For the tests of what builds deploy: an environment as the foundation gives it to them, and a registry.

What a deployment's Terraform meets is made by Terraform too: the foundation's module for deployments, and of
model-build's delivery the bucket, its key and the model package group with their policies.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox.iam.acting import role_environment
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.server import Sandbox
from tests.made_once import copy_of
from tests.terraform_delivery import PRODUCTION, REGION, SHARED, Terraform, make_foundation

COLLECTION = Path(__file__).resolve().parents[1]
GROUP = "email-router"
MODELS = f"mlops-{GROUP}-{SHARED}-{REGION}"
IMAGE = f"763104351884.dkr.ecr.{REGION}.amazonaws.com/huggingface-pytorch-inference:2.6.0-cpu"
BUILD_PATHS = {"staging": "/mlops/deploy-staging/", "production": "/mlops/deploy/"}
DEPLOYMENT_ROLES = {"staging": "mlops-deployment-staging", "production": "mlops-deployment"}
SERVICE_PATHS = {"staging": "/mlops/service-staging/", "production": "/mlops/service/"}
SERVING = COLLECTION / "model-build/{{cookiecutter.project_slug}}/steps/serving"
#: What calls the functions of an archive's inference.py; it carries this itself.
SERVICE = {
    f"code/serving/{name}": (SERVING / name).read_text(encoding="utf-8")
    for name in ("__init__.py", "mms_service.py")
}

# What the foundation's roots do for an environment, without buckets and queues, which take long.
FOUNDATION = """
variable "environment" { type = string }
variable "account" { type = string }
variable "production" { type = string }

provider "aws" {}

module "key" {
  source      = "./modules/key"
  alias       = var.environment == "staging" ? "mlops" : "mlops-production"
  description = "Logs and notifications"
  services    = ["cloudwatch.amazonaws.com", "sns.amazonaws.com"]
}

module "topic" {
  source      = "./modules/topic"
  name        = "mlops-notifications-${var.environment}"
  kms_key_arn = module.key.arn
  subscribers = []
}

module "deployment" {
  source = "./modules/deployment"

  environment                = var.environment
  prefix                     = "mlops"
  region                     = "ca-central-1"
  account_id                 = var.account
  shared_services_account_id = "111111111111"
  production_account_id      = var.production
  kms_key_arn                = module.key.arn
  notifications_topic_arn    = module.topic.arn
  state_bucket               = "mlops-terraform-state-${var.account}-ca-central-1"
  state_key_arn              = module.key.arn
  log_retention_days         = 90
  permissions_boundary_arn   = null
}
"""


@dataclass
class Deployment:
    """One environment's root, with the credentials of its build, and the account that it is in."""

    name: str
    account: str
    repository: Path
    terraform: Terraform
    registry: Registry

    @property
    def sandbox(self) -> Sandbox:
        """Where all this is."""
        return self.registry.sandbox

    @property
    def role_arn(self) -> str:
        """The deployment role."""
        return f"arn:aws:iam::{self.account}:role/{DEPLOYMENT_ROLES[self.name]}"

    @property
    def record_path(self) -> Path:
        """Where the record of a deployment lies."""
        return self.repository / f"{self.name}.json"

    def service_role(self, name: str) -> str:
        """A role that the deployment makes."""
        return f"arn:aws:iam::{self.account}:role{SERVICE_PATHS[self.name]}{name}"

    def client(self, service: str) -> Any:
        """A client of the account's administrator."""
        return self.sandbox.client(service, self.account)

    def write_record(self, document: Mapping[str, Any]) -> None:
        """Write the record of a deployment, as a build does."""
        common = {
            "version": 1,
            "environment": self.name,
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "terraform": "0123456789abcdef",
        }
        self.record_path.write_text(json.dumps({**common, **document}), encoding="utf-8")

    def variables(self, **others: str) -> list[str]:
        """Terraform's variables on the command line."""
        given = {
            "environment": self.name,
            "deployment": str(self.record_path),
            "deployment_role_arn": self.role_arn,
            **others,
        }
        return [f"-var={name}={value}" for name, value in given.items()]

    def apply(self, *options: str, status: int = 0, **others: str) -> str:
        """Apply the record."""
        variables = self.variables(**others)
        return self.terraform("apply", "-auto-approve", "-no-color", *variables, *options, status=status)

    def assert_nothing_to_do(self) -> None:
        """Plan again: exit status 2 would be a difference."""
        self.terraform("plan", "-detailed-exitcode", "-no-color", *self.variables())

    def refusal(self, **others: str) -> str:
        """Plan what cannot be planned; what Terraform complains of, on one line.

        No refusal is about what has drifted: what is there is not read.
        """
        output = self.terraform("plan", "-refresh=false", "-no-color", *self.variables(**others), status=1)
        return " ".join(output.replace("│", " ").split())

    def destroy(self, status: int = 0, **others: str) -> str:
        """Take everything down."""
        return self.terraform(
            "destroy", "-auto-approve", "-no-color", *self.variables(**others), status=status
        )

    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs."""
        return {name: each["value"] for name, each in json.loads(self.terraform("output", "-json")).items()}


@dataclass
class Registry:
    """The model package group and its bucket."""

    sandbox: Sandbox
    arns: dict[int, str] = field(default_factory=dict)

    def add(self, files: Mapping[str, str] | None) -> int:
        """Register an approved version, with an archive of these files or with none; returns its number.

        It is served as an ONNX model is: a container starts without PyTorch and transformers.
        """
        number = len(self.arns) + 1
        key = f"models/run-{number}/model.tar.gz"
        if files is not None:
            self.sandbox.client("s3").put_object(Bucket=MODELS, Key=key, Body=tar({**SERVICE, **files}))
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{MODELS}/{key}",
            "Environment": {
                "SAGEMAKER_PROGRAM": "inference.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "MMS_DEFAULT_SERVICE_HANDLER": "serving.mms_service:handle",
            },
        }
        self.arns[number] = self.sandbox.client("sagemaker").create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["text/plain"],
                "SupportedResponseMIMETypes": ["text/plain"],
            },
        )["ModelPackageArn"]
        return number


def tar(files: Mapping[str, str]) -> bytes:
    """A .tar.gz of files, by name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@contextmanager
def open_registry(
    generate: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    images: Images | None = None,
    production: str = PRODUCTION,
) -> Iterator[Registry]:
    """Accounts with enforced roles: a registry without versions, and both environments' foundations.

    Terraform makes them once in a run.

    Args:
        generate: generates the repository whose registry it is.
        images: of the containers that the tests start.
        production: the production account, which may be the other one.
    """
    accounts = (SHARED,) if production == SHARED else (SHARED, production)

    def make(folder: Path) -> None:
        with Sandbox(folder / "sandbox", accounts=accounts) as sandbox:
            make_foundation(sandbox, production=production)
            _make_group(sandbox, generate(folder, single_account=production == SHARED))
            for name in DEPLOYMENT_ROLES:
                make_environment_foundation(name, folder, sandbox, production)

    folder = tmp_path_factory.mktemp("registry") / "copy"
    copy_of(f"registry-{production}", make, folder, tmp_path_factory)
    with Sandbox(folder / "sandbox", images, accounts=accounts, enforce_iam=True) as sandbox:
        yield Registry(sandbox)


def _make_group(sandbox: Sandbox, repository: Path) -> None:
    """The group, the bucket and the key of a model-build repository, with the policies that it gives them."""
    terraform = Terraform(repository / "terraform/delivery", sandbox.environment())
    terraform("init", "-no-color")
    targets = [
        "module.bucket.aws_s3_bucket_policy.this",
        "module.bucket.aws_s3_bucket_server_side_encryption_configuration.this",
        "aws_sagemaker_model_package_group.this",
        *(["aws_sagemaker_model_package_group_policy.this"] if len(sandbox.accounts) > 1 else []),
    ]
    terraform.apply(*(f"-target={target}" for target in targets))


def make_environment_foundation(
    name: str, folder: Path, sandbox: Sandbox, production: str = PRODUCTION
) -> None:
    """What the foundation has for staging or production, made by Terraform in a copy of its modules."""
    account = SHARED if name == "staging" else production
    foundation = folder / f"foundation-{name}"
    shutil.copytree(COLLECTION / "shared/foundation/modules", foundation / "modules")
    (foundation / "main.tf").write_text(FOUNDATION, encoding="utf-8")
    terraform = Terraform(foundation, sandbox.environment(account))
    terraform("init", "-no-color")
    variables = {"environment": name, "account": account, "production": production}
    terraform.apply(*(f"-var={key}={value}" for key, value in variables.items()))


def make_deployment(
    name: str,
    slug: str,
    root: str,
    repository: Path,
    folder: Path,
    registry: Registry,
    production: str = PRODUCTION,
) -> Deployment:
    """A copy of the repository for one environment's build.

    Args:
        name: staging or production; the environment's foundation is there.
        slug: of the repository.
        root: the folder below terraform/ that is applied.
        repository: generated; it is copied.
        folder: for the copy.
        registry: where its models come from.
        production: the production account.
    """
    account = SHARED if name == "staging" else production
    copy = folder / f"{name}-{slug}"
    # not what `terraform init` has left there: a link to the provider would be copied as its 700 MB
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns(".terraform"))
    terraform = Terraform(copy / "terraform" / root, build_credentials(registry.sandbox, slug, name))
    terraform("init", "-no-color")
    return Deployment(name, account, copy, terraform, registry)


def build_credentials(sandbox: Sandbox, slug: str, name: str) -> dict[str, str]:
    """Environment variables of an environment's build; its role is made if no delivery has made it."""
    iam, role = sandbox.client("iam"), f"{slug}-{name}"
    if role not in [each["RoleName"] for each in iam.list_roles()["Roles"]]:
        service = {"Service": "codebuild.amazonaws.com"}
        trust = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": service})
        iam.create_role(RoleName=role, Path=BUILD_PATHS[name], AssumeRolePolicyDocument=trust)
        # every role: whether this build may become one is up to the role's trust
        become = policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
        iam.put_role_policy(RoleName=role, PolicyName="become", PolicyDocument=become)
    arn = f"arn:aws:iam::{SHARED}:role{BUILD_PATHS[name]}{role}"
    return role_environment(arn, "codebuild.amazonaws.com", REGION, "build")


def policy(statement: dict[str, Any]) -> str:
    """A policy of one statement, as JSON."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
