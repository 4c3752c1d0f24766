"""A copy of the foundation, whose roots Terraform applies to the sandbox, and what its roles may do there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.iam.documents import context_of, parse
from mlops_workbench.sandbox.iam.evaluator import Principal, Request, evaluate
from mlops_workbench.sandbox.iam.policies import principal_of_role
from tests.terraform_environment import cli_environment

FOUNDATION = Path(__file__).resolve().parents[2] / "shared/foundation"
SHARED, PRODUCTION, REGION = "111111111111", "222222222222", "ca-central-1"

NO_CHANGES, CHANGES = 0, 2  # terraform plan -detailed-exitcode

DATA_CENTER: dict[str, Any] = {
    "bitbucket_hosting": "data-center",
    "bitbucket_url": "https://bitbucket.example.org",
}
WORKSPACE, REPOSITORY = "0a0a0a0a-1111-2222-3333-444444444444", "0b0b0b0b-1111-2222-3333-444444444444"
CLOUD: dict[str, Any] = {
    "bitbucket_hosting": "cloud",
    "bitbucket_workspace": {"name": "acme", "uuid": WORKSPACE},
    "bitbucket_repository_uuids": [REPOSITORY],
}


def copy_foundation(folder: Path) -> Path:
    """Copy the foundation, as a platform engineer does, and pack the functions' code."""
    copy = folder / "foundation"
    unwanted = shutil.ignore_patterns("build", "__pycache__", ".terraform*", "*.tfstate*", "*.tfvars")
    shutil.copytree(FOUNDATION, copy, ignore=unwanted)
    subprocess.run([sys.executable, "package.py"], cwd=copy, check=True, capture_output=True)
    return copy


@dataclass
class Root:
    """One root of a copy of the foundation, and the account that it is applied to."""

    folder: Path
    environment: dict[str, str]

    def terraform(self, *arguments: str) -> str:
        """Run Terraform; what it prints. It must succeed."""
        done = self._run(*arguments)
        assert done.returncode == 0, f"terraform {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refusal(self, *arguments: str) -> str:
        """Run Terraform; what it complains of, on one line. It must fail."""
        done = self._run(*arguments)
        assert done.returncode == 1, f"terraform {' '.join(arguments)} was accepted:\n{done.stdout}"
        return " ".join(done.stderr.replace("│", " ").split())

    def plan(self) -> int:
        """Return NO_CHANGES or CHANGES."""
        done = self._run("plan", "-no-color", "-detailed-exitcode")
        assert done.returncode in (NO_CHANGES, CHANGES), done.stderr
        return done.returncode

    def apply(self) -> None:
        """Apply it as it stands."""
        self.terraform("apply", "-auto-approve", "-no-color")

    def set(self, **values: Any) -> None:
        """Write terraform.tfvars.json, on top of what it has."""
        path = self.folder / "terraform.tfvars.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **values}))

    def move_state(self, into_bucket: bool) -> None:
        """Move the state into the state bucket, or back to this folder, as the README says."""
        backend = self.folder / "backend.tf"
        if into_bucket:
            backend.write_text(self.terraform("output", "-raw", "backend_config"))
        else:
            backend.unlink()
        self.terraform("init", "-migrate-state", "-force-copy", "-no-color")

    def take_down(self) -> list[str]:
        """Take down all but keys and buckets, as the README says; returns the addresses that are left out."""
        kept = {name.split(".")[1].split("[")[0] for name in self.terraform("state", "list").split()}
        keep = [f"module.{name}" for name in ("key", "state_bucket", "source_bucket") if name in kept]
        self.terraform("state", "rm", *keep)
        self.terraform("destroy", "-auto-approve", "-no-color")
        return keep

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["terraform", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)


def apply_together(*roots: Root) -> None:
    """Apply roots of two accounts at once: most of the time the provider waits for S3 and SQS."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(Root.apply, roots))


def open_roots(
    sandbox: Sandbox, folder: Path, hosting: Mapping[str, Any], production: str
) -> tuple[Root, Root]:
    """Return both roots, initialised, for Bitbucket of this kind and a production account."""
    copy = copy_foundation(folder)
    common = {
        "region": REGION,
        "shared_services_account_id": SHARED,
        "production_account_id": production,
        "notification_emails": ["platform@example.org"],
    }
    roots = []
    for name, account, values in (
        ("shared-services", SHARED, {**common, **hosting}),
        ("production", production, common),
    ):
        own = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_VAR_"))}
        root = Root(copy / name, {**own, **cli_environment(), **sandbox.environment(account)})
        root.set(**values)
        root.terraform("init", "-no-color")
        roots.append(root)
    return roots[0], roots[1]


def may(
    role_arn: str, action: str, resource: str, conditions: Mapping[str, str | bool] | None = None
) -> bool:
    """Tell whether a role's policies and its boundary, as applied, allow an action on a resource."""
    identity = principal_of_role(role_arn, "test")
    request = Request(
        identity.principal,
        action,
        resource,
        context_of(dict(conditions or {})),
        resource_account=identity.principal.account,
    )
    return evaluate(request, identity.policies, identity.boundary, []).allowed


def trusts(policy: str, caller_arn: str, account: str) -> bool:
    """Tell whether a role's trust policy admits a role whose own policy lets it assume every role."""
    caller = Principal(caller_arn, account, role=caller_arn)
    anything = parse(json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}))
    context = context_of({"aws:PrincipalArn": caller_arn})
    request = Request(caller, "sts:AssumeRole", None, context, delegated=True)
    return evaluate(request, [anything], None, [parse(policy)]).allowed
