"""What the foundation says to wrong answers, before anything is made."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.foundation.terraform_roots import (
    CLOUD,
    DATA_CENTER,
    FOUNDATION,
    NO_CHANGES,
    PRODUCTION,
    REGION,
    SHARED,
    WORKSPACE,
    Root,
    open_roots,
)
from tests.terraform_environment import cli_environment

pytestmark = pytest.mark.slow


RIGHT = {
    "region": REGION,
    "shared_services_account_id": SHARED,
    "production_account_id": PRODUCTION,
    **DATA_CENTER,
}


def plan(root: Root, answers: dict[str, Any]) -> str:
    """What Terraform complains of, planning with these answers."""
    (root.folder / "terraform.tfvars.json").write_text(json.dumps(answers))
    return root.refusal("plan", "-no-color")


def test_the_root_of_shared_services_refuses_a_wrong_answer_before_anything_is_made(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION) as sandbox:
        shared, _ = open_roots(sandbox, tmp_path, DATA_CENTER, PRODUCTION)
        assert "An account id has 12 digits" in plan(shared, {**RIGHT, "production_account_id": "12345"})
        assert sandbox.client("s3").list_buckets()["Buckets"] == []


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """The variables of that root, with their conditions, alone: Terraform needs no provider to read them."""
    folder = tmp_path_factory.mktemp("questions")
    shutil.copy(FOUNDATION / "shared-services/variables.tf", folder)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_"))}
    root = Root(folder, {**own, **cli_environment()})
    (folder / "terraform.tfvars.json").write_text(json.dumps(RIGHT))
    assert root.plan() == NO_CHANGES  # the right answers are taken
    return root


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"prefix": "Much-Too-Long-A-Prefix"}, "2 to 16 lower-case letters"),
        ({"production_account_id": "12345"}, "An account id has 12 digits"),
        ({"log_retention_days": 31}, "CloudWatch takes 1, 3, 5"),
        ({"bitbucket_hosting": "server"}, "Expected data-center or cloud"),
        ({"bitbucket_url": "http://bitbucket.example.org"}, "begins with https://"),
        ({"bitbucket_url": None}, "begins with https://"),
        ({"reserved_concurrency": {"webhook": 5, "fetch": 1}}, "reserve 2 or more"),
        (
            {"permissions_boundary_arn": "arn:aws:iam::1:policy/x", "create_permissions_boundary": True},
            "not both",
        ),
        ({**CLOUD, "bitbucket_repository_uuids": []}, "at least one repository"),
        ({**CLOUD, "bitbucket_workspace": {"name": "acme", "uuid": f"{{{WORKSPACE}}}"}}, "without braces"),
    ],
)
def test_a_wrong_answer_is_refused_before_anything_is_made(
    questions: Root, wrong: dict[str, Any], complaint: str
) -> None:
    assert complaint in plan(questions, {**RIGHT, **wrong})
