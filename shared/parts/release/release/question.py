"""The pipeline's question about production: whether it is asked, and its answer from the command line."""

import os
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from configuration import UserError
from configuration.command_line import agreed

from .aws import Session, code, plain_errors
from .build import Build
from .environments import PRODUCTION
from .history import History, R

STAGE, ACTION = "Production", "Approve"  # terraform/modules/promotion
UNDER_WAY = frozenset({"InProgress", "Stopping"})


def worth_a_question(build: Build, history: History[R], wanted: R, now: str) -> tuple[bool, str]:
    """Whether to ask about a record, and in words why or why not.

    Args:
        build: that asks.
        history: of the project.
        wanted: what would be deployed to production.
        now: what production has at the moment, for a person.
    """
    if wanted.serves_as(history.live(PRODUCTION)):
        return False, "Production has the same already."
    proposal = history.proposal()
    asked = proposal and proposal.execution != build.execution and wanted.serves_as(proposal.record)
    if proposal and asked and _under_way(build, proposal.execution):
        return False, f"{now} Execution {proposal.execution} asks about the same already."
    return True, now


class Question(NamedTuple):
    """An approval that waits.

    Attributes:
        token: which one of them; an answer carries it.
        summary: what staging has proven.
        report: the link to the smoke test's report.
        execution: of the pipeline.
    """

    token: str
    summary: str
    report: str
    execution: str


def waiting(codepipeline: Any, pipeline: str) -> Question | None:
    """The question that waits for an answer; None when none does, or when there is no pipeline.

    Raises:
        UserError: these credentials may not look at it.
    """
    with plain_errors(f"pipeline {pipeline}"):
        try:
            stages = codepipeline.get_pipeline_state(name=pipeline)["stageStates"]
        except ClientError as error:
            if code(error) == "PipelineNotFoundException":  # not registered (yet)
                return None
            raise
        stage = next((one for one in stages if one["stageName"] == STAGE), None)
        if stage is None:
            return None
        action = next((one for one in stage["actionStates"] if one["actionName"] == ACTION), None)
        latest = (action or {}).get("latestExecution", {})
        if latest.get("status") != "InProgress" or "token" not in latest:
            return None
        execution = stage["latestExecution"]["pipelineExecutionId"]
        summary, report = _what_staging_says(codepipeline, pipeline, execution)
    return Question(latest["token"], summary, report, execution)


def answer(codepipeline: Any, pipeline: str, question: Question, *, approve: bool, comment: str) -> None:
    """Answers it.

    Raises:
        UserError: somebody else has answered, or these credentials may not.
    """
    with plain_errors(f"pipeline {pipeline}"):
        codepipeline.put_approval_result(
            pipelineName=pipeline,
            stageName=STAGE,
            actionName=ACTION,
            token=question.token,
            result={"status": "Approved" if approve else "Rejected", "summary": comment[:512]},
        )


def promote(own: Session, pipeline: str, *, reject: str | None, yes: bool) -> int:
    """The command: shows the question, asks the person, answers it; the exit status.

    Args:
        own: credentials of the shared services account.
        pipeline: the CodePipeline's name.
        reject: why the answer is no; None for yes.
        yes: do not ask.
    """
    codepipeline = own.client("codepipeline")
    asked = waiting(codepipeline, pipeline)
    if asked is None:
        print("Nothing waits for an answer. What is live: make status")
        return 1
    print(f"{asked.summary}\nThe report: {asked.report}")
    if os.environ.get("AWS_ENDPOINT_URL"):  # then that address, which is AWS's, leads nowhere
        print("In the sandbox `mlops-sandbox approve` prints its address.")
    words = "Deploy this to production?" if reject is None else f"Refuse it ({reject})?"
    if not agreed(f"{words} [y/N] ", yes=yes):
        return 1
    comment = "from the command line" if reject is None else reject
    answer(codepipeline, pipeline, asked, approve=reject is None, comment=comment)
    return 0


def _what_staging_says(codepipeline: Any, pipeline: str, execution: str) -> tuple[str, str]:
    """The staging build's exported variables, in which the summary and the link are."""
    pages = codepipeline.get_paginator("list_action_executions").paginate(
        pipelineName=pipeline, filter={"pipelineExecutionId": execution}
    )
    for page in pages:
        for found in page["actionExecutionDetails"]:
            variables = found.get("output", {}).get("outputVariables", {})
            if found["stageName"] == "Staging" and "SUMMARY" in variables:
                return variables["SUMMARY"], variables.get("REPORT_URL", "")
    raise UserError(
        f"pipeline {pipeline}: execution {execution} has no staging build that says what it proved"
    )


def _under_way(build: Build, execution: str) -> bool:
    codepipeline: Any = build.own.client("codepipeline")
    name = build.project.slug
    with plain_errors(f"pipeline {name}"):
        try:
            found = codepipeline.get_pipeline_execution(pipelineName=name, pipelineExecutionId=execution)
        except ClientError as error:
            if code(error) == "PipelineExecutionNotFoundException":
                return False
            raise
    return found["pipelineExecution"]["status"] in UNDER_WAY
