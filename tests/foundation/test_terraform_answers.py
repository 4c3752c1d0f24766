"""What the foundation says to wrong answers, before anything is made."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.foundation.terraform_roots import (
    CLOUD,
    DATA_CENTER,
    PRODUCTION,
    REGION,
    SHARED,
    WORKSPACE,
    Root,
    open_roots,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    """The root of shared services, initialised; the account behind it stays empty."""
    folder = tmp_path_factory.mktemp("answers")
    with Sandbox(folder / "sandbox", accounts=(SHARED, PRODUCTION), region=REGION) as sandbox:
        shared, _ = open_roots(sandbox, folder, DATA_CENTER, PRODUCTION)
        yield shared
        assert sandbox.client("s3").list_buckets()["Buckets"] == []


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
    initialised: Root, wrong: dict[str, Any], complaint: str
) -> None:
    right = {
        "region": REGION,
        "shared_services_account_id": SHARED,
        "production_account_id": PRODUCTION,
        **DATA_CENTER,
    }
    (initialised.folder / "terraform.tfvars.json").write_text(json.dumps({**right, **wrong}))
    assert complaint in initialised.refusal("plan", "-no-color")
