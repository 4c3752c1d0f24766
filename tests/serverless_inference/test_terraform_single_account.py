"""Terraform where one account is both: everything of both environments side by side, and no name twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_workbench.sandbox.images import Images
from tests.serverless_inference.terraform_endpoint import SLUG, add_model, make_environment
from tests.terraform_delivery import SHARED, Terraform
from tests.terraform_deployment import open_registry

pytestmark = pytest.mark.slow


def test_in_a_single_account_the_delivery_and_both_endpoints_lie_side_by_side(
    generate: Callable[..., Path],
    container_python: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    repository = generate(tmp_path, directory="serverless-inference", single_account=True)
    images = Images.single(container_python)
    with open_registry(generate, tmp_path_factory, images, production=SHARED) as registry:
        sandbox = registry.sandbox
        version = add_model(registry)
        delivery = Terraform(repository / "terraform/delivery", sandbox.environment())
        delivery("init", "-no-color")
        delivery.apply(
            "-target=module.promotion.module.build", "-target=module.promotion.module.pipeline_role"
        )
        for name in ("staging", "production"):
            environment = make_environment(name, repository, tmp_path / "build", registry, production=SHARED)
            environment.deploy(version)
            assert environment.ask() == "v1 hello you"
        roles = {each["RoleName"]: each["Path"] for each in sandbox.client("iam").list_roles()["Roles"]}
        assert {name: path for name, path in roles.items() if name.startswith(SLUG)} == {
            f"{SLUG}-pipeline": "/",
            f"{SLUG}-staging": "/mlops/deploy-staging/",
            f"{SLUG}-production": "/mlops/deploy/",
            f"{SLUG}-staging-endpoint": "/mlops/service-staging/",
            f"{SLUG}-production-endpoint": "/mlops/service/",
        }
        for name, role in (("staging", "mlops-deployment-staging"), ("production", "mlops-deployment")):
            policies = sandbox.client("iam").get_role_policy(
                RoleName=f"{SLUG}-{name}", PolicyName=f"{SLUG}-{name}"
            )
            become = [
                statement["Resource"]
                for statement in policies["PolicyDocument"]["Statement"]
                if "sts:AssumeRole" in json.dumps(statement["Action"])
            ]
            assert become == [f"arn:aws:iam::{SHARED}:role/{role}"]
