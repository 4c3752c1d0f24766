"""terraform/delivery where one account is both: no principal twice, no policy that lets others in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.terraform_delivery import REGION, SHARED, applied

pytestmark = pytest.mark.slow

NAME = "email-router"
BUCKET = f"mlops-{NAME}-{SHARED}-{REGION}"


def test_in_a_single_account_no_policy_names_it_twice_and_the_group_has_none(
    generate: Callable[..., Path], tmp_path: Path
) -> None:
    repository = generate(tmp_path, single_account=True)
    with applied(repository, tmp_path / "sandbox", production=SHARED) as world:
        world.terraform.assert_nothing_to_do()
        policy = json.loads(world.client("s3").get_bucket_policy(Bucket=BUCKET)["Policy"])
        assert [statement["Effect"] for statement in policy["Statement"]] == ["Deny"]
        kms = world.client("kms")
        id_ = kms.describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["KeyId"]
        key = kms.get_key_policy(KeyId=id_)["Policy"]
        assert key.count(f"arn:aws:iam::{SHARED}:root") == 1
        sagemaker = world.client("sagemaker")
        with pytest.raises(sagemaker.exceptions.ClientError):
            sagemaker.get_model_package_group_policy(ModelPackageGroupName=NAME)
