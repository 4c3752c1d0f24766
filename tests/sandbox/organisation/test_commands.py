"""The background process, started and ended as a person does; and what status and the page show."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import signal
import threading
import time
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from mlops_workbench.sandbox import Sandbox, daemon
from mlops_workbench.sandbox.cli import main
from mlops_workbench.sandbox.organisation import activity, following, foundation, record
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import is_alive
from tests.sandbox.services.codepipeline.world import SOURCE, World, approval_stage, build_stage
from tests.sandbox.services.sagemaker.endpoints.world import BUCKET, A, Endpoints
from tests.waiting import FOREVER, wait_for

SHARED, PRODUCTION = "111111111111", "222222222222"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "organisation of tests"


@pytest.fixture
def ended(folder):
    """A process that the test starts is ended."""
    yield
    main(["down", "--folder", str(folder)])


@pytest.fixture
def background(folder, ended, capsys):
    """An organisation in a process of its own, for what is said of that process."""
    assert main(["up", "--no-foundation", "--folder", str(folder)]) == 0
    capsys.readouterr()
    return record.running(folder)


@pytest.fixture
def organisation(folder):
    """One that this process holds as the other would, whose start takes a second of processor time."""
    end = threading.Event()
    wanted = record.Organisation(str(folder), accounts=[SHARED, PRODUCTION], region="ca-central-1")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(daemon.hold, wanted, None, end)
        try:
            wait_for(lambda: record.read(folder) or held.done())
            yield record.running(folder)
        finally:
            end.set()
            held.result()


def test_up_leaves_a_process_that_answers_for_both_accounts(folder, ended, capsys):
    assert main(["up", "--no-foundation", "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    found = record.running(folder)
    assert found.endpoint in said and found.page in said
    assert [found.client("sts", each).get_caller_identity()["Account"] for each in (SHARED, PRODUCTION)] == [
        SHARED,
        PRODUCTION,
    ]
    assert found.process[0] != os.getpid()


def test_up_again_is_a_clean_restart_with_the_same_state(folder, background, capsys):
    background.client("sqs").create_queue(QueueName="kept")
    assert main(["up", "--no-foundation", "--folder", str(folder)]) == 0
    again = record.running(folder)
    assert again.process != background.process and not is_alive(background.process)
    assert (again.endpoint, again.page) == (background.endpoint, background.page)
    assert again.client("sqs").list_queues()["QueueUrls"][0].endswith("/kept")
    assert f"ending process {background.process[0]}" in capsys.readouterr().out


def test_up_after_a_crash_starts_anew(folder, background):
    os.kill(background.process[0], signal.SIGKILL)
    _until_gone(background)
    assert main(["up", "--no-foundation", "--folder", str(folder)]) == 0
    assert record.running(folder).process != background.process


def test_down_ends_it_and_keeps_the_state(folder, background, capsys):
    assert main(["down", "--folder", str(folder)]) == 0
    assert not is_alive(background.process)
    assert not record.read(folder).running
    assert list((folder / "state").iterdir())
    assert "ended" in capsys.readouterr().out
    assert "the state is saved" in record.log_path(folder).read_text()


def test_down_delete_removes_what_is_ours_and_nothing_else(folder, background):
    (folder / "notes.txt").write_text("mine")
    assert main(["down", "--delete", "--folder", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "lock"}


def test_down_without_anything_says_so(tmp_path, capsys):
    assert main(["down", "--folder", str(tmp_path)]) == 0
    assert "nothing runs here" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["status", "push", "approve", "env"])
def test_the_others_say_how_to_start_it(tmp_path, capsys, command):
    assert main([command, "--folder", str(tmp_path)]) == 1
    assert "mlops-sandbox up" in capsys.readouterr().err


def test_a_process_that_cannot_start_is_told_with_its_log(folder, ended, capsys):
    wanted = ["up", "--no-foundation", "--folder", str(folder), "--account", "12"]
    assert main(wanted) == 1
    assert "expected 12 digits, got '12'" in capsys.readouterr().err


def test_env_leads_a_shell_to_an_account(folder, organisation, capsys):
    assert main(["env", "--folder", str(folder), "--account", "production"]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    variables = dict(assignment.split("=", 1) for export, assignment in lines)
    assert variables["AWS_ENDPOINT_URL"] == organisation.endpoint
    assert PRODUCTION in variables["AWS_ACCESS_KEY_ID"]


def test_up_in_a_repository_takes_its_accounts_region_and_bitbucket(
    folder, ended, tmp_path, capsys, monkeypatch
):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/project.yaml").write_text(
        "prefix: acme\nregion: us-east-1\n"
        "accounts: {shared_services: '333333333333', production: '444444444444'}\n"
        "bitbucket: {url: https://bitbucket.org/acme, repository: spam}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["up", "--no-foundation", "--folder", str(folder), "--production", "333333333333"]) == 0
    found = record.running(folder)
    assert (found.accounts, found.region, found.prefix) == (["333333333333"], "us-east-1", "acme")
    assert "no sandbox.toml here" in capsys.readouterr().out
    values = foundation.variables(found)
    assert values["bitbucket_hosting"] == "cloud" and values["bitbucket_workspace"]["name"] == "acme"
    assert values.keys() <= foundation.declared(foundation.find(None) / "shared-services")


def test_a_broken_project_file_is_named(folder, tmp_path, capsys, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/project.yaml").write_text("a: [")
    monkeypatch.chdir(tmp_path)
    assert main(["up", "--no-foundation", "--folder", str(folder)]) == 1
    assert "config/project.yaml: expected YAML" in capsys.readouterr().err


def test_a_shell_that_took_the_variables_means_this_organisation_from_anywhere(
    folder, organisation, tmp_path, capsys, monkeypatch
):
    assert main(["env", "--folder", str(folder)]) == 0
    lines = [shlex.split(line)[1] for line in capsys.readouterr().out.splitlines()]
    variables = dict(line.split("=", 1) for line in lines)
    monkeypatch.setenv("MLOPS_SANDBOX_ORGANISATION", variables["MLOPS_SANDBOX_ORGANISATION"])
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 0
    assert organisation.page in capsys.readouterr().out


def test_status_shows_what_there_is_in_words(folder, organisation, capsys):
    client = organisation.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="spam")
    client.create_model_package(ModelPackageGroupName="spam", ModelApprovalStatus="PendingManualApproval")
    assert main(["status", "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "spam/1" in said and "PendingManualApproval" in said
    assert "mlops-sandbox approve spam/1" in said


def test_status_open_without_a_browser_prints_the_address(folder, organisation, capsys, monkeypatch):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    assert main(["status", "--open", "--folder", str(folder)]) == 0
    address = capsys.readouterr().out.strip()
    with urllib.request.urlopen(address + "overview.json") as answer:
        assert json.load(answer)["folder"] == str(folder)


def test_approve_lists_then_approves_then_rejects_a_model_package(folder, organisation, capsys):
    client = organisation.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="spam")
    arn = client.create_model_package(
        ModelPackageGroupName="spam", ModelApprovalStatus="PendingManualApproval"
    )["ModelPackageArn"]

    def status():
        return client.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"]

    assert main(["approve", "--folder", str(folder)]) == 0
    assert "mlops-sandbox approve spam/1" in capsys.readouterr().out
    assert main(["approve", "spam", "--folder", str(folder)]) == 0
    assert status() == "Approved"
    assert (
        main(["approve", "spam", "--folder", str(folder)]) == 1
    )  # it waits no more: a name alone is too little
    assert main(["approve", arn, "--reject", "--comment", "low recall", "--folder", str(folder)]) == 0
    assert status() == "Rejected"
    assert client.describe_model_package(ModelPackageName=arn)["ApprovalDescription"] == "low recall"


def test_logs_without_a_name_are_those_of_the_process(folder, background, capsys):
    assert main(["logs", "--folder", str(folder)]) == 0
    assert background.endpoint in capsys.readouterr().out


def test_logs_of_a_project_without_builds_name_those_that_have_one(folder, organisation, capsys):
    assert main(["logs", "spam-build", "--folder", str(folder)]) == 1
    assert "spam-build: no build of that id or project" in capsys.readouterr().err


@pytest.fixture
def repository(tmp_path, git):
    place = tmp_path / "spam-build"
    place.mkdir()
    git(place, "init", "--quiet", "--initial-branch", "feature/words")
    (place / ".gitattributes").write_text(".commit export-subst\n")
    (place / ".commit").write_text("$Format:%H$\n")
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "Première version")
    return place


def test_push_without_a_foundation_says_what_to_do(folder, organisation, repository, capsys):
    assert main(["push", str(repository), "--folder", str(folder)]) == 1
    assert "no parameter /mlops/foundation" in capsys.readouterr().err


def test_push_puts_head_where_the_pipeline_takes_it_from(folder, organisation, repository, git, capsys):
    _foundation(organisation, "mlops-source")
    (repository / ".commit").write_text("changed")
    assert main(["push", str(repository), "--folder", str(folder)]) == 0
    assert "has changes" in capsys.readouterr().out
    commit = git(repository, "rev-parse", "HEAD")
    stored = organisation.client("s3").get_object(Bucket="mlops-source", Key="spam-build/feature/words.zip")
    assert stored["Metadata"]["commit"] == commit
    assert stored["Metadata"]["codepipeline-artifact-revision-summary"].startswith(commit[:7])
    with zipfile.ZipFile(io.BytesIO(stored["Body"].read())) as archive:
        assert archive.read(".commit").decode().strip() == commit


def test_push_follow_without_a_pipeline_says_that_none_listens(folder, organisation, repository, capsys):
    _foundation(organisation, "mlops-source")
    assert main(["push", str(repository), "--follow", "--folder", str(folder)]) == 1
    assert "make register" in capsys.readouterr().out


def test_push_follow_shows_the_pipeline_until_it_waits_and_approve_answers(
    folder, organisation, repository, capsys
):
    world = _pipeline(organisation, approval_stage())
    push = ["push", str(repository), "--name", "repository", "--branch", "main", "--folder", str(folder)]
    assert main([*push, "--follow"]) == 0
    said = capsys.readouterr().out
    assert "Source/Take: Succeeded" in said
    assert "waiting for approval: mlops-sandbox approve delivery/Approve/Person" in said
    assert main(["approve", "delivery", "--folder", str(folder)]) == 0
    assert world.end(world.executions()[0]) == "Succeeded"
    assert main(["logs", "build", "--folder", str(folder)]) == 0
    assert "the build says hello" in capsys.readouterr().out


def test_an_approval_shows_what_it_says_and_where_the_report_is(folder, organisation, capsys):
    client = organisation.client("s3")
    place = {"LocationConstraint": organisation.region}
    client.create_bucket(Bucket="reports", CreateBucketConfiguration=place)
    client.put_object(Bucket="reports", Key="1/a report.html", Body=b"<h1>all is well</h1>")
    link = f"https://{organisation.region}.console.aws.amazon.com/s3/object/reports?prefix=1/a%20report.html"
    world = _pipeline(
        organisation, approval_stage(CustomData="email-router/3: ready", ExternalEntityLink=link)
    )
    world.put(text="x")
    world.token()
    address = f"{organisation.page}objects/{SHARED}/reports/1/a%20report.html"
    for command in ("approve", "status"):
        assert main([command, "--folder", str(folder)]) == 0
        # A terminal breaks long lines of a table.
        said = "".join(capsys.readouterr().out.split())
        assert "delivery/Approve/Person" in said and "email-router/3:ready" in said
        assert address in said and "console.aws" not in said
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == b"<h1>all is well</h1>"
    with urllib.request.urlopen(organisation.page + "overview.json") as answer:
        (approval,) = json.load(answer)["approvals"]
    assert (approval["text"], approval["link"]) == ("email-router/3: ready", link)
    assert approval["page"] == f"/objects/{SHARED}/reports/1/a%20report.html"


def test_status_shows_endpoints_and_alarms(folder, organisation, capsys):
    organisation.client("cloudwatch", PRODUCTION).put_metric_alarm(
        AlarmName="router-errors",
        MetricName="Errors",
        Namespace="Router",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    organisation.client("cloudwatch", PRODUCTION).put_metric_data(
        Namespace="Router", MetricData=[{"MetricName": "Errors", "Value": 3}]
    )

    def status():
        assert main(["status", "--folder", str(folder)]) == 0
        return said if "ALARM" in (said := capsys.readouterr().out) else ""

    said = wait_for(status)
    line = next(line for line in said.splitlines() if line.startswith("router-errors"))
    assert PRODUCTION in line and "ALARM" in line
    assert "endpoints" in said.rsplit("none yet:", 1)[-1]
    assert "could not be asked" not in said


def test_push_follow_goes_on_with_the_sagemaker_execution_that_the_build_started(
    folder, organisation, repository, capsys
):
    fail = {"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "not good enough"}}
    organisation.client("sagemaker").create_pipeline(
        PipelineName="train",
        PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": [fail]}),
        RoleArn="arn:aws:iam::111111111111:role/any",
        ClientRequestToken="t" * 32,
    )
    start = "boto3.client('sagemaker').start_pipeline_execution(PipelineName='train')['PipelineExecutionArn']"
    _pipeline(organisation, command=f'STARTED=$(python -c "import boto3; print({start})")')
    push = ["push", str(repository), "--name", "repository", "--branch", "main", "--folder", str(folder)]
    assert main([*push, "--follow"]) == 1
    assert "not good enough" in capsys.readouterr().out


def test_push_follow_says_where_the_log_of_a_failed_build_is(folder, organisation, repository, capsys):
    _pipeline(organisation, command="echo no such luck; false")
    push = ["push", str(repository), "--name", "repository", "--branch", "main", "--folder", str(folder)]
    assert main([*push, "--follow"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "its log: " in line]
    *_, name = line.split()
    assert main(["logs", name, "--folder", str(folder)]) == 0
    assert "no such luck" in capsys.readouterr().out


def test_follow_shows_the_newest_execution_until_a_person_has_to_answer(folder, organisation, capsys):
    world = _pipeline(organisation, approval_stage())
    world.put(text="x")
    world.token()
    assert main(["follow", "delivery", "--folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "Source/Take: Succeeded" in said
    assert "waiting for approval: mlops-sandbox approve delivery/Approve/Person" in said


def test_follow_takes_what_begins_after_it_was_called(folder, organisation, capsys, monkeypatch):
    world = _pipeline(organisation)
    monkeypatch.setattr(following, "EVENT_SECONDS", FOREVER)
    slept = []

    def sleep(seconds):
        if not slept:  # it has looked, and found nothing
            world.put(text="x")
        slept.append(seconds)
        time.sleep(0.02)

    monkeypatch.setattr(following, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    assert main(["follow", "delivery", "--folder", str(folder)]) == 0
    assert slept
    assert "pipeline delivery: Succeeded" in capsys.readouterr().out


def test_follow_of_a_pipeline_at_rest_says_how_it_ended(folder, organisation, capsys, monkeypatch):
    monkeypatch.setattr(following, "EVENT_SECONDS", 0.1)
    _pipeline(organisation)
    assert main(["follow", "delivery", "--folder", str(folder)]) == 1
    assert "nothing runs; the newest execution is Failed" in capsys.readouterr().out


def test_follow_names_the_pipelines_when_it_waits_for_one_in_vain(folder, organisation, capsys, monkeypatch):
    monkeypatch.setattr(following, "REGISTER_SECONDS", 0.1)
    _pipeline(organisation)
    assert main(["follow", "delivry", "--folder", str(folder)]) == 1
    assert "those that are there: delivery" in capsys.readouterr().err


def _pipeline(organisation, *stages, command="echo the build says hello"):
    """Make a pipeline that a push starts; its first execution, which AWS starts by itself, is over."""
    world = World(organisation)
    organisation.client("ssm").put_parameter(
        Name="/mlops/foundation", Type="String", Value=json.dumps({"source_bucket": SOURCE})
    )
    world.project("build", command, env={"exported-variables": ["STARTED"]})
    first = world.make(*stages, build_stage("Build", "build"))
    assert world.end(first) == "Failed"  # there is no source yet
    world.start_on_push()
    return world


def _foundation(organisation, bucket):
    place = {"LocationConstraint": organisation.region}
    organisation.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    organisation.client("ssm").put_parameter(
        Name="/mlops/foundation", Type="String", Value=json.dumps({"source_bucket": bucket})
    )


def _until_gone(organisation):
    with contextlib.suppress(ChildProcessError):
        os.waitpid(organisation.process[0], 0)


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
