"""terraform/delivery where one account is both: no principal twice, no policy that lets others in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlops_sandbox.server import Sandbox

from tests.model_build.terraform_delivery import REGION, SHARED, Terraform, add_modules, make_foundation

pytestmark = pytest.mark.slow

NAME = "email-router"
BUCKET = f"mlops-{NAME}-{SHARED}-{REGION}"


def test_in_a_single_account_no_policy_names_it_twice_and_the_group_has_none(
    generate: Callable[..., Path], tmp_path: Path
) -> None:
    root = add_modules(generate(tmp_path, single_account=True))
    with Sandbox(tmp_path / "sandbox", accounts=(SHARED,)) as sandbox:
        make_foundation(sandbox, production=SHARED)
        terraform = Terraform(root, sandbox.environment())
        terraform("init", "-no-color")
        terraform.apply()
        terraform.assert_nothing_to_do()
        policy = json.loads(sandbox.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])
        assert [statement["Effect"] for statement in policy["Statement"]] == ["Deny"]
        kms = sandbox.client("kms")
        id_ = kms.describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["KeyId"]
        key = kms.get_key_policy(KeyId=id_)["Policy"]
        assert key.count(f"arn:aws:iam::{SHARED}:root") == 1
        sagemaker = sandbox.client("sagemaker")
        with pytest.raises(sagemaker.exceptions.ClientError):
            sagemaker.get_model_package_group_policy(ModelPackageGroupName=NAME)
