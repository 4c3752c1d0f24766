"""The calls of boto3 on pipelines and executions, and the record of executions on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from documents import BUCKET, ROLE, compare, condition, fail, get, parameter, pipeline, processing, text

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import (
    ExecutionRecord,
    Journal,
    StepRecord,
    is_alive,
    mark_interrupted,
    process_identity,
)

#: Runs in milliseconds: no job in it.
QUICK = pipeline(
    condition("Gate", [compare("Equals", get("Parameters.P"), "x")], [], [fail("No", "no")]),
    parameters=[parameter("P", default="x"), parameter("Q", "Integer", 1)],
)


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Any:
    return sandbox.client("sagemaker")


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    """The name of a pipeline with the definition QUICK."""
    chosen = f"p-{uuid.uuid4().hex[:8]}"
    client.create_pipeline(
        PipelineName=chosen,
        PipelineDisplayName="Quick",
        PipelineDescription="For tests",
        PipelineDefinition=text(QUICK),
        RoleArn=ROLE,
    )
    yield chosen
    client.delete_pipeline(PipelineName=chosen)


def error_of(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def begin(client: Any, name: str, **more: Any) -> str:
    return str(client.start_pipeline_execution(PipelineName=name, **more)["PipelineExecutionArn"])


def finish(client: Any, arn: str) -> dict[str, Any]:
    while True:
        answer: dict[str, Any] = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        if answer["PipelineExecutionStatus"] not in ("Executing", "Stopping"):
            return answer


def test_a_pipeline_is_described_as_it_was_created(client: Any, name: str) -> None:
    described = client.describe_pipeline(PipelineName=name)
    assert described["PipelineDisplayName"] == "Quick"
    assert described["RoleArn"] == ROLE
    assert described["PipelineStatus"] == "Active"
    assert json.loads(described["PipelineDefinition"]) == QUICK
    assert "LastRunTime" not in described
    finish(client, begin(client, name))
    assert client.describe_pipeline(PipelineName=described["PipelineArn"])["LastRunTime"]


def test_an_update_changes_what_is_given(client: Any, name: str) -> None:
    client.update_pipeline(PipelineName=name, PipelineDescription="Other")
    described = client.describe_pipeline(PipelineName=name)
    assert described["PipelineDescription"] == "Other"
    assert json.loads(described["PipelineDefinition"]) == QUICK


def test_a_definition_in_s3_is_read(client: Any, name: str, sandbox: Sandbox) -> None:
    changed = pipeline(fail("No", "never"))
    sandbox.client("s3").put_object(Bucket=BUCKET, Key="pipeline.json", Body=text(changed).encode())
    place = {"Bucket": BUCKET, "ObjectKey": "pipeline.json"}
    client.update_pipeline(PipelineName=name, PipelineDefinitionS3Location=place)
    assert json.loads(client.describe_pipeline(PipelineName=name)["PipelineDefinition"]) == changed
    code, message = error_of(
        client.update_pipeline,
        PipelineName=name,
        PipelineDefinitionS3Location={"Bucket": BUCKET, "ObjectKey": "nothing.json"},
    )
    assert (code, "NoSuchKey" in message) == ("ValidationException", True)


def test_a_bad_definition_is_refused_with_every_problem(client: Any, name: str) -> None:
    bad = text(
        pipeline({"Name": "A", "Type": "Procesing", "Arguments": {}}, processing("B", DependsOn=["Z"]))
    )
    for call in (client.create_pipeline, client.update_pipeline):
        more = {"RoleArn": ROLE} if call == client.create_pipeline else {}
        pipeline_name = "another" if more else name
        code, message = error_of(call, PipelineName=pipeline_name, PipelineDefinition=bad, **more)
        assert code == "ValidationException"
        assert "unknown step type 'Procesing'" in message
        assert "no step 'Z'" in message
    assert error_of(client.describe_pipeline, PipelineName="another")[0] == "ResourceNotFound"


def test_what_does_not_exist_is_not_found(client: Any, name: str) -> None:
    gone = f"{client.describe_pipeline(PipelineName=name)['PipelineArn']}/execution/abcdefghijkl"
    for call in (
        client.describe_pipeline_execution,
        client.list_pipeline_execution_steps,
        client.stop_pipeline_execution,
        client.describe_pipeline_definition_for_execution,
        client.list_pipeline_parameters_for_execution,
    ):
        assert error_of(call, PipelineExecutionArn=gone)[0] == "ResourceNotFound"
    for call in (
        client.describe_pipeline,
        client.start_pipeline_execution,
        client.list_pipeline_executions,
        client.delete_pipeline,
        client.update_pipeline,
    ):
        assert error_of(call, PipelineName="nobody")[0] == "ResourceNotFound"


def test_an_execution_is_described_with_what_it_was_given(client: Any, name: str) -> None:
    given = [{"Name": "P", "Value": "y"}]
    arn = begin(
        client,
        name,
        PipelineExecutionDisplayName="first",
        PipelineExecutionDescription="A try",
        PipelineParameters=given,
    )
    described = finish(client, arn)
    assert described["PipelineExecutionStatus"] == "Failed"
    assert described["FailureReason"] == "Step 'No' failed: no"
    assert described["PipelineExecutionDisplayName"] == "first"
    assert described["PipelineExecutionDescription"] == "A try"
    assert datetime.now(UTC) - described["CreationTime"] < timedelta(minutes=1)
    assert (
        client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"] == given
    )
    definition = client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert json.loads(definition["PipelineDefinition"]) == QUICK


def test_steps_come_the_last_one_first_and_in_pages(client: Any, name: str) -> None:
    arn = begin(client, name, PipelineParameters=[{"Name": "P", "Value": "y"}])
    finish(client, arn)
    call = client.list_pipeline_execution_steps
    names = [step["StepName"] for step in call(PipelineExecutionArn=arn)["PipelineExecutionSteps"]]
    assert names == ["No", "Gate"]
    first = call(PipelineExecutionArn=arn, SortOrder="Ascending", MaxResults=1)
    second = call(PipelineExecutionArn=arn, SortOrder="Ascending", MaxResults=1, NextToken=first["NextToken"])
    assert [page["PipelineExecutionSteps"][0]["StepName"] for page in (first, second)] == ["Gate", "No"]
    assert "NextToken" not in second
    step = second["PipelineExecutionSteps"][0]
    assert step["StepStatus"] == "Failed"
    assert step["FailureReason"] == "no"
    assert step["StartTime"] <= step["EndTime"]


def test_executions_come_the_newest_first_and_in_pages(client: Any, name: str) -> None:
    arns = [begin(client, name) for _ in range(3)]
    for arn in arns:
        finish(client, arn)
    paginator = client.get_paginator("list_pipeline_executions")
    pages = list(paginator.paginate(PipelineName=name, PaginationConfig={"PageSize": 2}))
    listed = [entry for page in pages for entry in page["PipelineExecutionSummaries"]]
    assert len(pages) == 2
    assert [entry["PipelineExecutionArn"] for entry in listed] == arns[::-1]
    assert {entry["PipelineExecutionStatus"] for entry in listed} == {"Succeeded"}
    # boto3 sends whole seconds, so only distant times tell these executions apart.
    hour = timedelta(hours=1)
    for bounds, count in (
        ({"CreatedAfter": -hour}, 3),
        ({"CreatedBefore": -hour}, 0),
        ({"CreatedAfter": hour}, 0),
    ):
        moments = {key: datetime.now(UTC) + offset for key, offset in bounds.items()}
        found = client.list_pipeline_executions(PipelineName=name, **moments)
        assert len(found["PipelineExecutionSummaries"]) == count


def test_pipelines_are_listed_by_prefix_and_in_pages(client: Any) -> None:
    prefix = f"list-{uuid.uuid4().hex[:6]}"
    for number in range(3):
        client.create_pipeline(
            PipelineName=f"{prefix}-{number}", PipelineDefinition=text(QUICK), RoleArn=ROLE
        )
    pages = client.get_paginator("list_pipelines").paginate(
        PipelineNamePrefix=prefix, SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    names = [entry["PipelineName"] for page in pages for entry in page["PipelineSummaries"]]
    assert names == [f"{prefix}-{number}" for number in range(3)]


def test_a_repeated_request_starts_one_execution(client: Any, name: str) -> None:
    token = uuid.uuid4().hex
    arns = {begin(client, name, ClientRequestToken=token) for _ in range(3)}
    assert len(arns) == 1
    assert begin(client, name, ClientRequestToken=uuid.uuid4().hex) not in arns


def test_bad_parameters_start_nothing(client: Any, name: str) -> None:
    given = [{"Name": "Q", "Value": "one"}, {"Name": "R", "Value": "1"}]
    code, message = error_of(client.start_pipeline_execution, PipelineName=name, PipelineParameters=given)
    assert code == "ValidationException"
    assert "parameter 'Q': expected a whole number, got 'one'" in message
    assert "parameter 'R': the pipeline declares no such parameter" in message
    assert client.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"] == []


def test_a_bad_request_in_a_step_starts_nothing(client: Any, name: str) -> None:
    step = processing("A")
    step["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] = get("Parameters.P")
    changed = pipeline(step, parameters=[parameter("P")])
    client.update_pipeline(PipelineName=name, PipelineDefinition=text(changed))
    code, message = error_of(
        client.start_pipeline_execution,
        PipelineName=name,
        PipelineParameters=[{"Name": "P", "Value": "ml.m5.larg"}],
    )
    assert code == "ValidationException"
    assert "step 'A': CreateProcessingJob: ProcessingResources.ClusterConfig.InstanceType" in message


def test_what_the_sandbox_does_not_do_is_refused_not_ignored(client: Any, name: str) -> None:
    code, message = error_of(
        client.start_pipeline_execution,
        PipelineName=name,
        SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "Gate"}]},
    )
    assert code == "ValidationException"
    assert "whole pipelines only" in message


def record(id_: str = "abc", **more: object) -> ExecutionRecord:
    """Return a running execution with one running step."""
    fields = {"status": "Executing", "created": 1.0, "modified": 1.0, "definition": "{}", **more}
    made = ExecutionRecord(id_, f"arn:{id_}", "p", "arn:p", **fields)  # type: ignore[arg-type]
    made.steps["A"] = StepRecord("A", "Training", status="Executing", start=1.0)
    made.steps["Z"] = StepRecord("Z", "Training", status="Succeeded", start=1.0, end=2.0)
    return made


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Steps included, oldest execution first."""
    journal = Journal(tmp_path / "executions")
    assert journal.load() == {}
    saved = [record("new", created=5.0), record("old", created=2.0)]
    for one in saved:
        journal.save(one)
    assert list(journal.load()) == ["old", "new"]
    assert journal.load()["new"] == saved[0]


def test_what_is_not_a_record_is_passed_over(tmp_path: Path) -> None:
    """A draft left by kill -9, another format, another file."""
    journal = Journal(tmp_path)
    journal.save(record())
    (tmp_path / "def.new").write_text("{")
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text('{"format": 99}')
    (tmp_path / "z.json").write_text("[]")
    assert list(journal.load()) == ["abc"]


def test_an_execution_whose_process_is_gone_is_interrupted() -> None:
    """It and its running steps are Failed; what had succeeded stays so."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    gone = record(process=[ended.pid, 1])
    assert mark_interrupted(gone)
    assert gone.status == gone.steps["A"].status == "Failed"
    assert gone.failure_reason == f"interrupted: process {ended.pid} ended before the execution did"
    assert gone.steps["Z"].status == "Succeeded"
    assert not mark_interrupted(gone)


def test_a_running_process_is_told_from_a_new_one_with_its_id() -> None:
    """By the time of its start."""
    pid, started = process_identity()
    assert pid == os.getpid()
    assert is_alive([pid, started])
    assert not is_alive([pid, started + 1])
    assert not mark_interrupted(record(process=[pid, started]))
    assert not is_alive([])
