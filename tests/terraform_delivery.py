"""For the tests of every template's terraform/delivery: a foundation made of its parts, and Terraform.

The foundation's own Terraform has its own tests; here boto3 makes what a repository sees of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mlops_workbench.sandbox.server import Sandbox
from tests.terraform_environment import cli_environment

SHARED, PRODUCTION, REGION = "111111111111", "222222222222", "ca-central-1"
SOURCE_BUCKET = f"mlops-source-{SHARED}-{REGION}"
BOUNDARY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass
class Foundation:
    """What the repositories know of the foundation; the SSM parameter holds the same."""

    kms_key_arn: str
    topic_arn: str
    boundary_arn: str | None


def make_foundation(
    sandbox: Sandbox, production: str = PRODUCTION, boundary: dict[str, Any] | None = None
) -> Foundation:
    """Make the shared resources that terraform/delivery refers to, and the parameter that names them."""
    key = sandbox.client("kms").create_key(Description="foundation")["KeyMetadata"]["Arn"]
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket=SOURCE_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=SOURCE_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=SOURCE_BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    topic = sandbox.client("sns").create_topic(Name="mlops-notifications")["TopicArn"]
    boundary_arn = None
    if boundary is not None:
        made = sandbox.client("iam").create_policy(
            PolicyName="mlops-boundary", PolicyDocument=json.dumps(boundary)
        )
        boundary_arn = made["Policy"]["Arn"]
    parameter = {
        "version": 1,
        "region": REGION,
        "shared_services_account_id": SHARED,
        "production_account_id": production,
        "state_bucket": f"mlops-terraform-state-{SHARED}-{REGION}",
        "source_bucket": SOURCE_BUCKET,
        "kms_key_arn": key,
        "notifications_topic_arn": topic,
        "deployment_role_arn": f"arn:aws:iam::{production}:role/mlops-deployment",
        "permissions_boundary_arn": boundary_arn,
        "log_retention_days": 90,
        "bitbucket_hosting": "data-center",
        "webhook_url": None,
        "webhook_secret_prefix": "mlops/bitbucket/webhook/",
        "publisher_role_arn": None,
    }
    sandbox.client("ssm").put_parameter(Name="/mlops/foundation", Type="String", Value=json.dumps(parameter))
    return Foundation(key, topic, boundary_arn)


def edit_yaml(path: Path, **values: object) -> None:
    """Set top-level keys of a YAML file."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**document, **values}), encoding="utf-8")


class Terraform:
    """Terraform in one root, with its state beside it instead of in S3."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.environment = {**kept, **cli_environment(), **environment}
        # the state lives in the foundation's bucket in real life, which the foundation's tests apply
        (root / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')

    def __call__(self, *arguments: str, status: int | tuple[int, ...] = 0) -> str:
        """Run a command; its output, when it ends with the wanted exit status."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        wanted = (status,) if isinstance(status, int) else status
        assert done.returncode in wanted, (done.stdout + done.stderr)[-8000:]
        return done.stdout + done.stderr

    def apply(self, *options: str) -> str:
        """Apply without a question."""
        return self("apply", "-auto-approve", "-no-color", *options)

    def assert_nothing_to_do(self) -> None:
        """Plan again: exit status 2 would be a difference."""
        self("plan", "-detailed-exitcode", "-no-color")


@dataclass
class World:
    """An applied delivery and what it was made in."""

    repository: Path
    sandbox: Sandbox
    foundation: Foundation
    terraform: Terraform

    def client(self, service: str) -> Any:
        """A client of an administrator of shared services."""
        return self.sandbox.client(service)

    def trust(self, role: str) -> dict[str, Any]:
        """The trust policy's statement of a role."""
        document = self.client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        (statement,) = document["Statement"]
        return dict(statement)


@contextmanager
def applied(
    repository: Path,
    folder: Path,
    *,
    production: str = PRODUCTION,
    boundary: dict[str, Any] | None = None,
    targets: Sequence[str] = (),
) -> Iterator[World]:
    """Apply a repository's delivery by Terraform to a sandbox that has what it refers to.

    Args:
        repository: generated for these accounts.
        folder: for the sandbox.
        production: the production account.
        boundary: the organisation's permissions boundary, if it has one.
        targets: what is applied, with what it needs; nothing for all.
    """
    accounts = (SHARED,) if production == SHARED else (SHARED, production)
    with Sandbox(folder, accounts=accounts) as sandbox:
        foundation = make_foundation(sandbox, production=production, boundary=boundary)
        terraform = Terraform(repository / "terraform/delivery", sandbox.environment())
        terraform("init", "-no-color")
        terraform.apply(*(f"-target={target}" for target in targets))
        yield World(repository, sandbox, foundation, terraform)


# role, action, resource, conditions, allowed
Case = tuple[str, str, str, dict[str, str], bool]


def case_name(case: Case) -> str:
    """The name of a case in the name of its test."""
    role, action, resource, conditions, allowed = case
    values = ",".join(conditions.values())
    short = resource.split(":", 4)[-1]
    return f"{role}-{'may' if allowed else 'may-not'}-{action}-{short}" + (f"-{values}" if values else "")
