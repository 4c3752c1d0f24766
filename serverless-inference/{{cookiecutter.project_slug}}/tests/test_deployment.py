"""A deployment: its record, what Terraform is told and says, going back, whose credentials these are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from configuration import UserError
from release import aws, terraform
from release.build import terraform_digest
from release.registry import Package, Version
from serverless_inference import record as records
from serverless_inference import rollback
from serverless_inference.config import load

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


STATE = terraform.State(
    "mlops-terraform-state-1-ca",
    "deployment/x/staging.tfstate",
    "ca-central-1",
    "arn:aws:iam::111111111111:role/r",
)


def test_the_backend_assumes_the_deployment_role_and_locks() -> None:
    lines = terraform.backend(STATE).splitlines()
    assert 'key = "deployment/x/staging.tfstate"' in lines
    assert "use_lockfile = true" in lines and not [line for line in lines if line.startswith("encrypt")]
    (role,) = [line for line in lines if line.startswith("assume_role")]
    assert json.loads(role.partition(" = ")[2])["role_arn"] == STATE.role_arn


def test_a_lock_s_id_is_read_and_nothing_else_is_taken_for_one() -> None:
    lock = "0f6f4d47-6a5b-8c1e-3f7f-0a0a0a0a0a0a"
    assert terraform.lock_id(json.dumps({"ID": lock, "Who": "root@build"})) == lock
    for text in ("", "{}", "[]", '{"ID": "-force"}', '{"ID": 3}'):
        assert terraform.lock_id(text) is None


def test_what_a_plan_makes_for_the_first_time_is_told_from_what_it_replaces() -> None:
    def change(address: str, kind: str, actions: list[str], after: object, mode: str = "managed") -> object:
        return {
            "address": address,
            "type": kind,
            "mode": mode,
            "change": {"actions": actions, "after": after},
        }

    plan = {
        "resource_changes": [
            change("aws_sagemaker_endpoint.this[0]", "aws_sagemaker_endpoint", ["create"], {"name": "e"}),
            change("aws_sagemaker_model.this[0]", "aws_sagemaker_model", ["create", "delete"], {"name": "m"}),
            change("aws_iam_role.this", "aws_iam_role", ["create"], {}),
            change("aws_x.gone", "aws_x", ["delete"], None),
            change("data.aws_y.z", "aws_y", ["create"], {"name": "z"}, mode="data"),
        ]
    }
    assert terraform.new_in(plan) == [
        ("aws_sagemaker_endpoint.this[0]", "aws_sagemaker_endpoint", "e"),
        ("aws_iam_role.this", "aws_iam_role", None),
    ]


def versions(**approvals: str) -> list[Version]:
    """`v1="Approved"`, …, as the registry lists them: the newest first."""
    found = [
        Version(f"arn/{name[1:]}", int(name[1:]), approval, datetime(2026, 1, 1, tzinfo=UTC), True)
        for name, approval in approvals.items()
    ]
    return sorted(found, key=lambda version: -version.number)


def planned(to: int, **approvals: str) -> list[tuple[int, str]]:
    return [
        (change.version.number, change.to) for change in rollback.plan(versions(**approvals), "group", to)
    ]


def test_what_is_newer_and_approved_is_rejected_the_newest_last() -> None:
    changes = planned(1, v1="Approved", v2="Approved", v3="PendingManualApproval", v4="Approved")
    assert changes == [(2, "Rejected"), (4, "Rejected")]


def test_a_version_that_is_not_approved_is_approved_first() -> None:
    assert planned(1, v1="Rejected", v2="Approved") == [(1, "Approved"), (2, "Rejected")]


def test_there_is_nothing_to_do_when_it_is_the_newest_approved_one() -> None:
    assert planned(2, v1="Approved", v2="Approved", v3="Rejected") == []


def test_a_version_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"--to 7: expected a version of group \(1, 2\)"):
        planned(7, v1="Approved", v2="Approved")


ROLE = "arn:aws:iam::222222222222:role/mlops-deployment"


def test_a_role_is_assumed_with_the_callers_credentials_and_acts_instead_of_them(service: Any) -> None:
    acting = aws.assumed(aws.session("ca-central-1"), ROLE, "email-router-production")
    assert not service.assumed, "it is assumed at the first call"
    aws.caller(acting)
    aws.caller(acting)
    assert service.callers == ["test", "ASSUMED1", "ASSUMED1"]
    (asked,) = service.assumed
    assert (asked["RoleArn"], asked["RoleSessionName"]) == (ROLE, "email-router-production")
    assert acting.region_name == "ca-central-1"


def test_credentials_of_a_role_that_end_soon_are_renewed(service: Any) -> None:
    service.lifetime = 60  # botocore renews what ends within ten minutes
    acting = aws.assumed(aws.session("ca-central-1"), ROLE, "name")
    for _ in range(2):
        aws.caller(acting)
    assert len(service.assumed) >= 2
    assert service.callers[-1] == f"ASSUMED{len(service.assumed)}"


def test_whose_credentials_these_are(service: Any) -> None:
    service.account = "333333333333"
    found = aws.caller(aws.session("ca-central-1"))
    assert found == aws.Caller("333333333333", "arn:aws:iam::333333333333:user/tester")


def test_a_profile_that_is_not_there_is_one_line(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UserError, match=r"^AWS settings: The config profile \(nobody\) could not be found$"):
        aws.session("ca-central-1")


@pytest.mark.parametrize(("code", "advice"), [("ExpiredToken", True), ("AccessDenied", False)])
def test_an_error_of_aws_is_one_line_and_says_what_to_do_when_that_is_known(code: str, advice: bool) -> None:
    error = {"Error": {"Code": code, "Message": "first\nsecond"}}
    with pytest.raises(UserError) as caught, aws.plain_errors("s3://bucket/key"):
        raise ClientError(error, "GetObject")  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith("s3://bucket/key: ") and "first second" in message and "\n" not in message
    assert ("sign in again" in message) is advice
