"""The record of a deployment, which Terraform applies and which brings back what was before."""

import json
from pathlib import Path

import pytest

from configuration.errors import UserError
from release.digest import terraform_digest
from release.registry import Package
from serverless_inference import record as records
from serverless_inference.load import load

ROOT = Path(__file__).parents[1]
PACKAGE = Package(
    "arn:aws:sagemaker:ca-central-1:111111111111:model-package/email-router/3",
    "email-router",
    3,
    "Approved",
    "s3://models/models/a/model.tar.gz",
    "763104351884.dkr.ecr.ca-central-1.amazonaws.com/huggingface-pytorch-inference:2.6.0",
)


@pytest.fixture
def record() -> records.Record:
    return records.make(load(ROOT), "staging", PACKAGE, "0123abc")


def test_it_survives_a_file(record: records.Record) -> None:
    assert records.from_json(record.to_json(), "a file") == record


def test_it_holds_what_terraform_needs_and_nothing_that_only_the_smoke_test_needs(
    record: records.Record,
) -> None:
    document = json.loads(record.to_json())
    assert document["version"] == 1 and document["model"]["package_version"] == 3
    assert set(document["settings"]) == {
        "memory_mb",
        "max_concurrency",
        "provisioned_concurrency",
        "environment",
        "alarms",
        "watching",
    }


def test_in_another_account_a_models_own_image_is_a_copy_of_that_account() -> None:
    """SageMaker takes no other for a serverless endpoint; of AWS's image there is no copy."""
    settings = load(ROOT)
    accounts = settings.project.accounts
    image = f"{accounts.shared_services}.dkr.ecr.ca-central-1.amazonaws.com/email-router-serving:0a-py312"
    package = PACKAGE._replace(image=image, variables={"SAGEMAKER_PROGRAM": "inference.py"})
    staging, production = (
        records.make(settings, name, package, "0123abc").model for name in ("staging", "production")
    )
    assert staging is not None and production is not None
    assert (staging.image, staging.copy_of, staging.variables) == (image, None, None)
    assert production.image == image.replace(accounts.shared_services, accounts.production, 1)
    assert (production.copy_of, production.variables) == (image, {"SAGEMAKER_PROGRAM": "inference.py"})
    of_aws = records.make(settings, "production", PACKAGE, "0123abc").model
    assert of_aws is not None and (of_aws.image, of_aws.copy_of) == (PACKAGE.image, None)


def test_another_commit_serves_as_the_same_and_another_version_or_setting_does_not(
    record: records.Record,
) -> None:
    assert record.serves_as(record._replace(commit="another"))
    assert not record.serves_as(None)
    assert record.model is not None
    assert not record.serves_as(record._replace(model=record.model._replace(package_version=4)))
    assert not record.serves_as(record._replace(settings={**record.settings, "memory_mb": 6144}))
    assert not record.serves_as(record._replace(terraform="changed"))


def test_an_environment_that_is_not_enabled_has_no_model() -> None:
    settings = load(ROOT)
    off = settings.endpoint.staging.model_copy(update={"enabled": False})
    endpoint = settings.endpoint.model_copy(update={"staging": off})
    made = records.make(settings.model_copy(update={"endpoint": endpoint}), "staging", PACKAGE, "0123abc")
    assert made.model is None and made.in_words() == "no endpoint"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "model": {"a": 1}}'])
def test_what_is_no_record_is_refused_by_the_name_of_its_file(text: str) -> None:
    with pytest.raises(UserError, match=r"s3://bucket/live\.json: expected the record of a deployment"):
        records.from_json(text, "s3://bucket/live.json")


def test_the_digest_of_terraform_knows_its_files_and_not_what_terraform_writes(tmp_path: Path) -> None:
    (tmp_path / "endpoint/.terraform").mkdir(parents=True)
    (tmp_path / "endpoint/main.tf").write_text("# one")
    before = terraform_digest(tmp_path, ("endpoint", "modules"))
    (tmp_path / "endpoint/.terraform/terraform.tfstate").write_text("{}")
    (tmp_path / "endpoint/endpoint.tfplan").write_text("plan")
    assert terraform_digest(tmp_path, ("endpoint", "modules")) == before
    (tmp_path / "endpoint/main.tf").write_text("# two")
    assert terraform_digest(tmp_path, ("endpoint", "modules")) != before
