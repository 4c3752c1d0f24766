"""Who may do what in the delivery: role x action x resource, asked of the policies that Terraform has made.

The policies and the boundary are read back from IAM and evaluated as AWS documents it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_workbench.sandbox.session import current
from tests.foundation.terraform_roots import may
from tests.promotion import SAGEMAKER, TARGETS, common_cases, role_arn
from tests.terraform_delivery import REGION, SHARED, Case, applied, case_name

pytestmark = pytest.mark.slow

NAME, GROUP = "email-router-endpoint", "email-router"
MODELS = f"arn:aws:s3:::mlops-{GROUP}-{SHARED}-{REGION}"
VERSION, GROUP_ARN = f"{SAGEMAKER}:model-package/{GROUP}/3", f"{SAGEMAKER}:model-package-group/{GROUP}"

# role, action, resource ("key": the delivery's, "foundation key": the foundation's), conditions, allowed
CASES: list[Case] = [
    *common_cases(NAME, GROUP),
    # staging's build reads this group, and says whether what is live is approved
    ("staging", "sagemaker:ListModelPackages", GROUP_ARN, {}, True),
    ("staging", "sagemaker:ListModelPackages", VERSION, {}, True),
    ("staging", "sagemaker:DescribeModelPackage", VERSION, {}, True),
    ("staging", "sagemaker:DescribeModelPackageGroup", GROUP_ARN, {}, True),
    ("staging", "s3:ListBucket", MODELS, {"s3:prefix": "models/run-1/model.tar.gz"}, True),
    ("staging", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Deployments"}, True),
    # production's build looks at the version once more
    ("production", "sagemaker:DescribeModelPackage", VERSION, {}, True),
    ("production", "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Deployments"}, True),
]


@pytest.fixture(scope="module")
def keys(generate: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The delivery's policies, made by Terraform; the ARNs of the two keys by the names that cases use."""
    repository = generate(tmp_path_factory.mktemp("access"), directory="serverless-inference")
    with applied(repository, tmp_path_factory.mktemp("sandbox"), targets=TARGETS) as world:
        ours = world.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]["Arn"]
        yield {"key": ours, "foundation key": world.foundation.kms_key_arn}


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_a_role_may_do_what_it_has_to_and_nothing_beside_it(keys: dict[str, str], case: Case) -> None:
    role, action, resource, conditions, allowed = case
    assert may(role_arn(NAME, role), action, keys.get(resource, resource), conditions) is allowed


def test_no_allowing_statement_of_a_role_has_a_wildcard_for_its_actions(keys: dict[str, str]) -> None:
    iam = current().client("iam")
    for role in ("pipeline", "events", "staging", "production"):
        name = f"{NAME}-{role}"
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            assert "*" not in json.dumps([statement["Action"] for statement in document["Statement"]])
