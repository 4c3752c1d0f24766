"""Terraform where one account is both: everything of both environments side by side, and no name twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_workbench.sandbox.images import Images
from tests.batch_inference.terraform_batch import SLUG, Environment, make_environment
from tests.terraform_delivery import SHARED
from tests.terraform_deployment import open_registry

pytestmark = pytest.mark.slow


def test_in_a_single_account_each_environment_answers_its_own_files(
    generate: Callable[..., Path],
    container_python: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    images = Images.single(container_python)
    with open_registry(generate, tmp_path_factory, images, production=SHARED) as registry:
        sandbox = registry.sandbox
        registry.add({"version": "v1"})
        staging, production = (
            make_environment(name, tmp_path / name, registry, production=SHARED)
            for name in ("staging", "production")
        )
        for environment in (staging, production):
            environment.record()
        with ThreadPoolExecutor() as threads:
            list(threads.map(Environment.apply, (staging, production)))
        for environment in (staging, production):
            environment.assert_nothing_to_do()

        roles = {each["RoleName"]: each["Path"] for each in sandbox.client("iam").list_roles()["Roles"]}
        assert {name: path for name, path in roles.items() if name.startswith(SLUG)} == {
            f"{SLUG}-staging": "/mlops/deploy-staging/",
            f"{SLUG}-production": "/mlops/deploy/",
            **{f"{SLUG}-staging-{role}": "/mlops/service-staging/" for role in ROLES},
            **{f"{SLUG}-production-{role}": "/mlops/service/" for role in ROLES},
        }

        production.put("input/a.csv")
        assert production.ended(1)["PipelineExecutionStatus"] == "Succeeded"
        assert staging.executions() == []
        assert production.client("s3").head_object(Bucket=production.bucket, Key="output/a.csv")
        assert "Contents" not in staging.client("s3").list_objects_v2(Bucket=staging.bucket)


ROLES = ("begin", "drift", "events", "jobs", "publish")
