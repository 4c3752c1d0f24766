"""`unregister` takes down what register made, and keeps models, data and the repository unless told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.usefixtures("terraform")

Run = Callable[..., Any]
BUCKET = "mlops-email-router-111111111111-ca-central-1"
STATE_BUCKET = "mlops-terraform-state-111111111111-ca-central-1"


def put_model(organisation: Any) -> None:
    """One version of the model, in the group that training makes versions in."""
    sagemaker = organisation.sandbox.client("sagemaker")
    for group in ("email-router", "email-router-2"):  # the other one is somebody else's
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
        sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": "111111111111.dkr.ecr.ca-central-1.amazonaws.com/a:1"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )


def models(organisation: Any, group: str = "email-router") -> list[str]:
    found = organisation.sandbox.client("sagemaker").list_model_packages(ModelPackageGroupName=group)
    return [one["ModelPackageArn"] for one in found["ModelPackageSummaryList"]]


def put_data(organisation: Any) -> None:
    """Two versions of one object, and a deleted one."""
    organisation.create_bucket(BUCKET)
    s3 = organisation.sandbox.client("s3")
    for key in ("data/emails.csv", "data/emails.csv", "data/old.csv"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"text")
    s3.delete_object(Bucket=BUCKET, Key="data/old.csv")


def secrets(organisation: Any) -> list[str]:
    found = organisation.sandbox.client("secretsmanager").list_secrets()["SecretList"]
    return [one["Name"] for one in found]


@pytest.mark.slow
def test_what_register_made_goes_and_the_repository_and_its_history_stay(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    assert delivery("register", "--yes").status == 0
    made = bitbucket.repository("ML", "email-router")
    refs = made.refs()
    done = delivery("unregister", "--yes")
    assert (done.status, done.err) == (0, ""), done
    assert bitbucket.repository("ML", "email-router").refs() == refs
    assert made.webhooks == {} and secrets(organisation) == []
    s3 = organisation.sandbox.client("s3")
    state = s3.get_object(Bucket=STATE_BUCKET, Key="delivery/email-router.tfstate")["Body"].read()
    assert b"terraform_data" not in state
    # and again, and back
    assert delivery("unregister", "--yes").status == 0
    assert delivery("register", "--yes").status == 0
    assert secrets(organisation) == ["mlops/bitbucket/webhook/email-router"]


def test_what_the_pipeline_has_deployed_stops_it_until_it_is_taken_down_or_left_on_purpose(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    organisation.create_bucket(BUCKET)
    s3 = organisation.sandbox.client("s3")
    s3.put_object(Bucket=BUCKET, Key="deployments/production/live.json", Body=b"{}")
    refused = delivery("unregister", "--yes", "--delete-data")
    assert (
        refused.status == 1
        and "has deployed to production" in refused.err
        and "--leave-deployed" in refused.err
    )
    s3.head_object(Bucket=BUCKET, Key="deployments/production/live.json")  # nothing is deleted
    left = delivery("unregister", "--yes", "--delete-data", "--leave-deployed", "--no-bitbucket")
    assert left.status == 0, left.err


def test_models_and_data_stop_it_before_anything_goes(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    put_model(organisation)
    put_data(organisation)
    for allowed, named in (
        ((), ["1 model package(s)", "1 object(s)"]),
        (("--delete-models",), ["1 object(s)"]),
        (("--delete-data",), ["1 model package(s)"]),
    ):
        done = delivery("unregister", "--yes", *allowed)
        assert done.status == 1
        assert [words for words in ("1 model package(s)", "1 object(s)") if words in done.err] == named
    assert "--delete-models" in delivery("unregister", "--yes").err
    assert len(models(organisation)) == 1 and len(organisation.versions(BUCKET)) == 3
    assert bitbucket.requests == []


@pytest.mark.slow
def test_told_so_it_deletes_this_repository_s_models_and_all_versions_of_its_data(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    put_model(organisation)
    put_data(organisation)
    done = delivery("unregister", "--yes", "--delete-models", "--delete-data")
    assert done.status == 0, done.err
    assert models(organisation) == [] and len(models(organisation, "email-router-2")) == 1
    found = organisation.sandbox.client("s3").list_object_versions(Bucket=BUCKET)
    assert not found.get("Versions") and not found.get("DeleteMarkers")


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "status"), [("", 1), ("yes", 1), ("email-route", 1), ("email-router", 0)])
def test_the_slug_has_to_be_typed(
    repository: Path,
    organisation: Any,
    bitbucket: Any,
    delivery: Run,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    status: int,
) -> None:
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: typed)
    assert delivery("unregister").status == status
    assert bool(organisation.versions(STATE_BUCKET)) is (status == 0)


def test_a_webhook_that_cannot_be_removed_is_said_before_anything_goes(
    repository: Path, organisation: Any, delivery: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BITBUCKET_TOKEN")
    done = delivery("unregister", "--yes")
    assert done.status == 1 and "BITBUCKET_TOKEN is not set" in done.err
    assert not organisation.versions(STATE_BUCKET)


@pytest.mark.slow
def test_a_failure_names_the_command_that_continues(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    assert delivery("register", "--yes").status == 0
    main = repository / "terraform/delivery/main.tf"
    good = main.read_text()
    main.write_text("broken")
    failed = delivery("unregister", "--yes")
    assert failed.status == 1 and failed.err.splitlines()[-1] == "  make unregister ARGS='--yes'"
    assert secrets(organisation) == ["mlops/bitbucket/webhook/email-router"]
    main.write_text(good)
    assert delivery("unregister", "--yes").status == 0


def test_a_refusal_of_aws_is_not_taken_for_an_empty_group(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlops_workbench.delivery.unregister as module

    def refuse(*_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListModelPackages")

    monkeypatch.setattr(module, "_model_packages", refuse)
    done = delivery("unregister", "--yes")
    assert done.status == 1 and "AccessDeniedException" in done.err
