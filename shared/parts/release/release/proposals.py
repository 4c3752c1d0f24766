"""Whether a person has to be asked about production."""

from typing import Any

from botocore.exceptions import ClientError

from .aws import code, plain_errors
from .build import Build
from .environments import PRODUCTION
from .history import History, R

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
