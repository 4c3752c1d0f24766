"""`make local`: the pipeline's own definition in the sandbox, seen through plain boto3."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from tests.model_build.conftest import Run, execution_id, set_model

ACCOUNTS = ("111111111111", "222222222222")


@pytest.fixture(scope="module")
def first_run(small_repository: Path, model_build: Run) -> str:
    """What the first run printed."""
    done = model_build(small_repository, "local")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def package(small_repository: Path, first_run: str) -> dict[str, Any]:
    """The model package that the first run registered."""
    with Sandbox(small_repository / ".sandbox", accounts=ACCOUNTS) as sandbox:
        sagemaker = sandbox.client("sagemaker")
        arn = sagemaker.list_model_packages(ModelPackageGroupName="email-router")["ModelPackageSummaryList"][
            0
        ]
        return sagemaker.describe_model_package(ModelPackageName=arn["ModelPackageArn"])


def test_a_run_ends_with_metrics_report_and_model_package(small_repository: Path, first_run: str) -> None:
    assert "accuracy" in first_run
    assert "model-package/email-router/1 (PendingManualApproval)" in first_run
    report = small_repository / "reports" / execution_id(first_run) / "report.html"
    assert report.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_the_package_says_what_it_was_made_from(small_repository: Path, package: dict[str, Any]) -> None:
    report = json.loads(
        next((small_repository / "reports").glob("*/evaluation.json")).read_text(encoding="utf-8")
    )
    metadata = package["CustomerMetadataProperties"]
    accuracy = report["multiclass_classification_metrics"]["accuracy"]["value"]
    assert float(metadata["accuracy"]) == pytest.approx(accuracy)
    assert len(metadata["data_sha256"]) == len(metadata["config_sha256"]) == 64
    assert package["MetadataProperties"]["CommitId"] == metadata["git_commit"]
    assert package["MetadataProperties"]["GeneratedBy"].startswith(
        "arn:aws:sagemaker:ca-central-1:111111111111:pipeline/"
    )
    assert package["ModelApprovalStatus"] == "PendingManualApproval"


def test_predict_answers_through_the_containers_own_handler(
    small_repository: Path, first_run: str, model_build: Run
) -> None:
    done = model_build(small_repository, "predict", "data/new_emails.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    texts = (small_repository / "data/new_emails.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(line.count("%") for line in done.stdout.splitlines()) >= len(texts)


def test_a_second_run_takes_finished_steps_from_the_cache_and_registers_a_version(
    small_repository: Path, first_run: str, package: dict[str, Any], model_build: Run
) -> None:
    done = model_build(small_repository, "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("taken from execution") >= 3
    assert "model-package/email-router/2" in done.stdout
    assert "[Train]" not in done.stdout


def test_after_an_approval_the_next_model_is_measured_beside_the_live_one(
    small_repository: Path, first_run: str, model_build: Run
) -> None:
    approved = model_build(small_repository, "approve", "1", "--local", "--yes", "--comment", "to begin with")
    assert approved.returncode == 0, approved.stdout + approved.stderr
    assert "there is no live model to compare with" in approved.stdout
    set_model(small_repository, comparison={"metric": "accuracy", "not_worse_by": 0.5})
    done = model_build(small_repository, "local")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compares with the live model: version 1" in done.stdout
    report = small_repository / "reports" / execution_id(done.stdout)
    content = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
    comparison = content["comparison"]
    assert comparison["status"] == "compared"
    assert comparison["rows"]["known_to_live"] == 0, (
        "the same data: its test rows are those of the live model"
    )
    assert comparison["settings"] == []
    (target,) = comparison["targets"].values()
    assert target["figures"]["accuracy"]["difference"] == 0, "it is the same model"
    assert content["gate"]["worse_than_live_by"] == 0
    assert "Beside the live model" in (report / "report.html").read_text(encoding="utf-8")
    shown = model_build(small_repository, "compare", "3", "--local").stdout
    assert "Beside the live version 1" in shown
    assert "Settings: the same." in shown
    with Sandbox(small_repository / ".sandbox", accounts=ACCOUNTS) as sandbox:
        arn = "arn:aws:sagemaker:ca-central-1:111111111111:model-package/email-router/3"
        described = sandbox.client("sagemaker").describe_model_package(ModelPackageName=arn)
    card = json.loads(described["ModelCard"]["ModelCardContent"])
    assert [each["name"] for each in card["evaluation_details"]] == ["Test set", "Beside the live model"]
    job = card["training_details"]["training_job_details"]["training_arn"]
    assert job == described["CustomerMetadataProperties"]["training_job_arn"]
    traced = model_build(small_repository, "lineage", "3", "--local", "--json").stdout
    found = json.loads(traced)
    assert found["training_job"]["status"] == "Completed"
    assert found["data"]["files"] == ["emails.csv"]
    assert found["evaluation"]["compared_with"] == "version 1"


def test_a_margin_is_not_passed_by_a_run_that_looked_up_no_live_model(
    small_repository: Path, first_run: str, model_build: Run
) -> None:
    done = model_build(small_repository, "local", "--parameter", "LiveModelPackage=unresolved")
    assert done.returncode == 1
    assert "comparison.not_worse_by is 0.5, but nobody looked up the live model" in done.stdout


def test_below_a_threshold_nothing_is_registered_and_the_figures_are_named(
    small_repository: Path, first_run: str, model_build: Run
) -> None:
    set_model(small_repository, acceptance={"accuracy": {"at_least": 0.999}})
    done = model_build(small_repository, "local")
    assert done.returncode == 1
    assert "Not registered: accuracy 0." in done.stdout
    assert "0.999" in done.stdout
    assert "[Train]" not in done.stdout, "another threshold needs no other training"
    status = model_build(small_repository, "status", "--local").stdout
    assert "Failed" in status
    assert "version 4" not in status


def test_a_problem_in_the_data_stops_the_run_with_its_reason(
    small_repository: Path, first_run: str, model_build: Run
) -> None:
    rows = "".join(f"{n},text {n},{'ab'[n % 2]},the only one\n" for n in range(20))
    (small_repository / "data/broken.csv").write_text("subject,body,service_line,conversation\n" + rows)
    set_model(small_repository, **{"data.source": "data/broken.csv"})
    done = model_build(small_repository, "local")
    assert done.returncode == 1
    assert "Preprocess" in done.stdout
    assert "groups by 'conversation'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
