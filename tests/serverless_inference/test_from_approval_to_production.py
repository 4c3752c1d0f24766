"""The whole path of a model that is approved: staging, a person, production; then the next one, and back.

All real but AWS: Terraform applies the foundation, both repositories' delivery and both environments'
endpoints; the builds are the repositories' buildspecs; the model was trained by the model-build pipeline; the
endpoints run its inference.py behind the Hugging Face handler; every role may do only what its policies
say. The tests are one story: each goes on where the one before it ended.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from mlops_workbench.sandbox.services import events
from tests.foundation.terraform_roots import PRODUCTION, REGION, SHARED
from tests.model_build.conftest import set_model
from tests.serverless_inference.organisation import (
    ENDPOINTS,
    GROUP,
    MODELS,
    QUESTIONS,
    RECORDS,
    SLUG,
    Organisation,
    opened,
)
from tests.serverless_inference.steady_requests import steady_requests
from tests.serverless_inference.variants import (
    broken_model,
    configuration,
    fail_endpoint,
    measured_endpoint,
)

pytestmark = pytest.mark.slow

TEXTS = [str(question["text"]) for question in QUESTIONS]


@pytest.fixture(scope="module")
def organisation(
    generate: Callable[..., Path],
    container_python: Path,
    git: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Organisation]:
    """Prints at the end what took how long."""
    with opened(generate, container_python, git, tmp_path_factory) as made:
        yield made
        print("\n".join(f"{what}: {seconds:.1f} s" for what, seconds in made.seconds.items()))


def test_with_no_approved_model_the_pipeline_is_green_and_deploys_nothing(organisation: Organisation) -> None:
    began = time.monotonic()
    organisation.register(organisation.server)
    organisation.seconds["serverless-inference registered"] = time.monotonic() - began
    with organisation.watching("without an approved model") as started:
        organisation.push("Once more")
    assert {each["status"] for each in started} == {"Succeeded"}
    assert organisation.stages(started[0]) == {
        "Source/Source": "Succeeded",
        "Staging/DeployAndTest": "Succeeded",
    }
    assert f"No version of {GROUP} is approved yet" in organisation.log("staging")
    assert [organisation.live_version(name) for name in ENDPOINTS] == [None, None]


def test_an_approved_model_goes_to_staging_and_waits_there_for_a_person(organisation: Organisation) -> None:
    arn = organisation.wait_for_version(1)
    with organisation.watching("approved -> proven in staging") as started:
        organisation.decide(arn, "Approved")
    assert [each["status"] for each in started] == ["InProgress"], organisation.log("staging")
    assert organisation.live_version("staging") == 1 and organisation.live_version("production") is None
    assert organisation.ask("staging", TEXTS[0])["label"] == "billing"
    record = organisation.record("staging")
    assert record is not None and record["model"]["package_arn"] == arn


def test_the_person_is_told_what_was_proven_and_where_the_report_is(organisation: Organisation) -> None:
    bodies = [mail.body for mail in events.mails() if '"approval"' in mail.body]
    (approval,) = [json.loads(body)["approval"] for body in bodies]
    assert approval["pipelineName"] == SLUG
    assert (
        "version 1" in approval["customData"] and "Production has no endpoint yet" in approval["customData"]
    )
    key = approval["externalEntityLink"].partition("prefix=")[2]
    report = organisation.client("s3").get_object(Bucket=RECORDS, Key=key)["Body"].read().decode()
    assert all(text in report for text in TEXTS)


def test_promote_deploys_to_production_what_staging_has_proven(organisation: Organisation) -> None:
    with organisation.watching_the_same("promoted -> in production"):
        done = organisation.run("serverless_inference", "promote", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
    (newest, *_) = organisation.executions()
    assert newest["status"] == "Succeeded", organisation.log("production")
    assert organisation.live_version("production") == 1
    assert organisation.ask("production", TEXTS[1])["label"] == "elevators"


def test_invoke_answers_in_a_table_from_either_account(organisation: Organisation) -> None:
    for environment, (account, _) in ENDPOINTS.items():
        done = organisation.run(
            "serverless_inference", "invoke", *TEXTS, "--environment", environment, account=account
        )
        assert done.returncode == 0, done.stderr
        assert all(str(question["label"]) in done.stdout for question in QUESTIONS)


def test_it_answers_as_the_toolkit_s_default_handler_does_and_how_fast(organisation: Organisation) -> None:
    """Prints times, and asserts none: `make bench` measures them on a quiet machine."""
    answers = {}
    for side in ("ours", "default handler"):
        endpoint = measured_endpoint(organisation, side)
        times, labels = [], []
        for turn in range(31):
            began = time.perf_counter()
            labels.append(organisation.ask_endpoint(SHARED, endpoint, TEXTS[turn % len(TEXTS)])["label"])
            times.append(time.perf_counter() - began)
        answers[side] = labels
        warm = sorted(times[1:])
        print(
            f"{side}: cold start {times[0]:.2f} s, then median {1000 * warm[15]:.1f} ms, "
            f"p95 {1000 * warm[28]:.1f} ms of {len(warm)} requests"
        )
        organisation.client("sagemaker").delete_endpoint(EndpointName=endpoint)
    assert answers["ours"] == answers["default handler"]


def test_the_same_event_again_deploys_nothing_and_asks_nobody(organisation: Organisation) -> None:
    before = [configuration(organisation, name) for name in ENDPOINTS]
    with organisation.watching("the same event again") as started:
        # an edit of the metadata emits "Approved" once more
        organisation.client("sagemaker").update_model_package(
            ModelPackageArn=organisation.wait_for_version(1), CustomerMetadataProperties={"reviewed": "yes"}
        )
    assert {each["status"] for each in started} <= {"Succeeded", "Superseded"}
    assert organisation.waits_for_approval() is None
    assert [configuration(organisation, name) for name in ENDPOINTS] == before


def test_a_second_model_replaces_the_first_under_steady_requests_and_none_is_lost(
    organisation: Organisation,
) -> None:
    set_model(organisation.trainer, **{"training.seed": 14})
    organisation.push("Another seed", organisation.trainer)
    arn = organisation.wait_for_version(2)
    with requests(organisation, "staging") as staging, requests(organisation, "production") as production:
        with organisation.watching("second model -> proven in staging, under requests"):
            organisation.decide(arn, "Approved")
        assert organisation.live_version("staging") == 2, organisation.log("staging")
        assert organisation.live_version("production") == 1
        with organisation.watching_the_same("second model promoted, under requests"):
            assert organisation.run("serverless_inference", "promote", "--yes").returncode == 0
        assert organisation.live_version("production") == 2, organisation.log("production")
    for name, tally in (("staging", staging), ("production", production)):
        print(f"{name}: {tally.sent} requests while the model was replaced, {len(tally.lost)} lost")
        assert tally.lost == [] and tally.sent > 20


def test_rejecting_it_brings_the_newest_approved_one_back(organisation: Organisation) -> None:
    with organisation.watching("rejected -> staging rolled back"):
        organisation.decide(organisation.wait_for_version(2), "Rejected")
    assert organisation.live_version("staging") == 1, organisation.log("staging")
    with organisation.watching_the_same("rolled back in production"):
        assert organisation.run("serverless_inference", "promote", "--yes").returncode == 0
    assert organisation.live_version("production") == 1


def test_a_model_that_raises_fails_the_stage_and_the_one_before_it_serves_again(
    organisation: Organisation,
) -> None:
    arn = broken_model(organisation, organisation.wait_for_version(1))
    with organisation.watching("a model that raises -> staging restored") as started:
        organisation.decide(arn, "Approved")
    assert [each["status"] for each in started] == ["Failed"]
    log = organisation.log("staging")
    assert "this model cannot read" in log and "serves email-router version 1 again" in log
    assert organisation.live_version("staging") == 1
    assert organisation.ask("staging", TEXTS[2])["label"] == "gas"
    with organisation.watching("and rejected"):
        organisation.decide(arn, "Rejected")


def test_a_package_whose_archive_is_missing_changes_nothing(organisation: Organisation) -> None:
    arn = organisation.register_variant(
        organisation.wait_for_version(1), ModelDataUrl=f"s3://{MODELS}/models/gone/model.tar.gz"
    )
    before = configuration(organisation, "staging")
    with organisation.watching("a missing archive") as started:
        organisation.decide(arn, "Approved")
    assert [each["status"] for each in started] == ["Failed"]
    assert "models/gone/model.tar.gz, found nothing there" in organisation.log("staging")
    assert configuration(organisation, "staging") == before
    with organisation.watching("and rejected, too"):
        organisation.decide(arn, "Rejected")


def test_an_interrupted_deployment_is_recovered_by_the_next(organisation: Organisation) -> None:
    codebuild = organisation.client("codebuild")
    organisation.configure(staging__memory_mb=4096)
    with organisation.watching("a build that is stopped while Terraform applies") as started:
        organisation.push("More memory")
        stop_while_applying(organisation, codebuild)
    assert [each["status"] for each in started] == ["Failed"]
    organisation.configure(staging__memory_mb=5120)
    with organisation.watching("the next one"):
        organisation.push("Even more")
    assert memory(organisation, "staging") == 5120, organisation.log("staging")
    assert organisation.ask("staging", TEXTS[0])["label"] == "billing"
    assert organisation.waits_for_approval() is None  # production's settings are the same as before


def test_an_endpoint_that_has_failed_is_made_anew(organisation: Organisation) -> None:
    fail_endpoint(organisation)
    with organisation.watching("a failed endpoint is made anew"):
        organisation.push("Nothing new")
    log = organisation.log("staging")
    assert "is Failed, and cannot be updated any more: it is made anew" in log
    assert organisation.live_version("staging") == 1, log
    assert organisation.ask("staging", TEXTS[1])["label"] == "elevators"


def test_what_a_lost_state_does_not_know_is_taken_in_and_a_lock_that_nobody_holds_is_removed(
    organisation: Organisation,
) -> None:
    s3, bucket = organisation.client("s3"), f"mlops-terraform-state-{SHARED}-{REGION}"
    state = f"deployment/{SLUG}/staging.tfstate"
    s3.delete_object(Bucket=bucket, Key=state)  # as if the build had ended before it was written
    lock = {
        "ID": "0f6f4d47-6a5b-8c1e-3f7f-0a0a0a0a0a0a",
        "Who": "root@gone",
        "Operation": "OperationTypeApply",
    }
    s3.put_object(Bucket=bucket, Key=f"{state}.tflock", Body=json.dumps({**lock, "Path": state}).encode())
    with organisation.watching("state lost and locked"):
        organisation.push("Nothing new, either")
    log = organisation.log("staging")
    assert "was left locked" in log and "taken in as aws_sagemaker_endpoint.this[0]" in log, log
    assert organisation.live_version("staging") == 1
    assert organisation.ask("staging", TEXTS[2])["label"] == "gas"


def test_rollback_rejects_what_is_newer_and_the_pipeline_follows(organisation: Organisation) -> None:
    arn = organisation.wait_for_version(2)
    with organisation.watching("version 2 approved again"):
        organisation.decide(arn, "Approved")
    assert organisation.live_version("staging") == 2
    asked = organisation.waits_for_approval()
    with organisation.watching("rollback --to 1") as started:
        done = organisation.run("serverless_inference", "rollback", "--to", "1", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
    # the question about version 2 is answered, and does not stand in the way
    assert [each["status"] for each in organisation.executions() if each["pipelineExecutionId"] == asked] == [
        "Failed"
    ]
    assert started[0]["status"] == "Succeeded"
    assert organisation.live_version("staging") == 1
    described = organisation.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Rejected"


def test_rejecting_the_only_one_removes_nothing_and_alarms(organisation: Organisation) -> None:
    with organisation.watching("the only one rejected") as started:
        organisation.decide(organisation.wait_for_version(1), "Rejected")
    assert started[0]["status"] == "Succeeded"
    assert "No version of email-router is approved. Nothing is changed" in organisation.log("staging")
    assert [organisation.live_version(name) for name in ENDPOINTS] == [1, 1]
    alarms = organisation.client("cloudwatch").describe_alarms()["MetricAlarms"]
    states = {each["AlarmName"]: each["StateValue"] for each in alarms if "not-approved" in each["AlarmName"]}
    assert set(states.values()) == {"ALARM"} and len(states) == 2
    with organisation.watching("and approved again"):
        organisation.decide(organisation.wait_for_version(1), "Approved")


def test_an_environment_that_is_not_enabled_is_taken_down(organisation: Organisation) -> None:
    refused = organisation.run("mlops_workbench", "unregister", "--yes", "--no-bitbucket", "--delete-data")
    assert refused.returncode == 1 and "deployed to production and staging" in refused.stderr
    organisation.configure(staging__enabled=False, production__enabled=False)
    with organisation.watching("taken down in staging"):
        organisation.push("No endpoints")
    with organisation.watching_the_same("taken down in production"):
        assert organisation.run("serverless_inference", "promote", "--yes").returncode == 0
    assert [organisation.live_version(name) for name in ENDPOINTS] == [None, None]
    began = time.monotonic()
    done = organisation.run("mlops_workbench", "unregister", "--yes", "--no-bitbucket", "--delete-data")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    organisation.seconds["unregistered"] = time.monotonic() - began
    for account in (SHARED, PRODUCTION):
        roles = organisation.client("iam", account).list_roles()["Roles"]
        assert [each["RoleName"] for each in roles if each["RoleName"].startswith(SLUG)] == []


def requests(organisation: Organisation, environment: str) -> Any:
    account, name = ENDPOINTS[environment]

    def make_client(config: Config) -> Any:
        import boto3

        variables = organisation.sandbox.environment(account)
        return boto3.client(
            "sagemaker-runtime",
            region_name=REGION,
            endpoint_url=organisation.sandbox.endpoint_url,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=config,
        )

    return steady_requests(make_client, name, TEXTS)


def memory(organisation: Organisation, environment: str) -> int:
    config = organisation.client("sagemaker", ENDPOINTS[environment][0]).describe_endpoint_config(
        EndpointConfigName=configuration(organisation, environment)
    )
    return int(config["ProductionVariants"][0]["ServerlessConfig"]["MemorySizeInMB"])


def stop_while_applying(organisation: Organisation, codebuild: Any) -> None:
    """Stop the staging build as soon as the endpoint is being changed."""
    account, name = ENDPOINTS["staging"]
    sagemaker = organisation.client("sagemaker", account)
    before = configuration(organisation, "staging")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = sagemaker.describe_endpoint(EndpointName=name)
        if found["EndpointStatus"] == "Updating" or found["EndpointConfigName"] != before:
            newest = codebuild.list_builds_for_project(projectName=f"{SLUG}-staging")["ids"][0]
            codebuild.stop_build(id=newest)
            return
        time.sleep(0.05)
    raise AssertionError("the endpoint was not changed within two minutes")
