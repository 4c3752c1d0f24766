"""What status and the page show of endpoints, asked for over the AWS APIs."""

from __future__ import annotations

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.organisation import activity
from tests.sandbox.endpoint_world import BUCKET, A, Endpoints


def test_an_endpoint_is_shown_with_its_model_package_and_why_it_failed(sandbox: Sandbox) -> None:
    world = Endpoints(sandbox)
    package = world.package("lost")
    world.bucket().delete_object(Bucket=BUCKET, Key="lost/model.tar.gz")
    world.create("router", world.config("router-1", package), status="Failed")
    (shown,) = activity.collect_endpoints(world.sagemaker, A, 20)
    assert (shown.account, shown.name, shown.status) == (A, "router", "Failed")
    assert (shown.model, shown.configuration) == ("group/1", "router-1")
    assert f"s3://{BUCKET}/lost/model.tar.gz" in shown.reason
    assert shown.updated.endswith("Z") or "+00:00" in shown.updated


def test_an_endpoint_is_shown_though_its_model_or_configuration_was_deleted(sandbox: Sandbox) -> None:
    world = Endpoints(sandbox)
    world.create("router", world.config("router-1", world.package("lost", Image="none")), status="Failed")
    world.sagemaker.delete_model(ModelName="router-1")
    assert [each.model for each in activity.collect_endpoints(world.sagemaker, A, 20)] == ["router-1"]
    world.sagemaker.delete_endpoint_config(EndpointConfigName="router-1")
    assert [each.model for each in activity.collect_endpoints(world.sagemaker, A, 20)] == [""]
    assert (
        list(activity.collect_endpoints(sandbox.client("sagemaker", "222222222222"), "222222222222", 20))
        == []
    )
