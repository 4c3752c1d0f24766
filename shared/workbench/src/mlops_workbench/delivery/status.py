"""Facts as lines for a person."""

import os
from typing import Any

from .aws import plain_errors
from .probe import Aws, Facts
from .project import Project


def console(project: Project) -> str:
    """Where a browser shows the pipeline."""
    domain = {"cn": "console.amazonaws.cn", "us-gov": "console.amazonaws-us-gov.com"}
    partition = "us-gov" if project.region.startswith("us-gov-") else project.region.partition("-")[0]
    host = domain.get(partition, "console.aws.amazon.com")
    return f"https://{project.region}.{host}/codesuite/codepipeline/pipelines/{project.slug}/view?region={project.region}"


def facts_in_words(project: Project, facts: Facts) -> str:
    """What was found, one line each."""
    aws, remote = facts.aws, facts.remote
    lines = [
        *_account(aws),
        ("foundation", "found" if aws.foundation else "not found"),
        ("pipeline", f"{project.slug} exists" if aws.pipeline else "none yet"),
        ("published", f"commit {aws.published[:8]} of main" if aws.published else "nothing yet"),
        ("Terraform", facts.terraform or "not usable"),
        ("git", _git_words(facts)),
    ]
    if remote is not None and remote.problem is None:
        lines.append(("Bitbucket", "repository exists" if remote.repository else "no repository yet"))
        lines.append(("", "connected to AWS" if remote.connected else "not connected to AWS yet"))
    elif remote is not None:
        lines.append(("Bitbucket", "not reached"))
    return _table(lines)


def account_in_words(aws: Aws) -> str:
    """Whose account it is, and whether it is AWS's."""
    return _table(_account(aws))


def _account(aws: Aws) -> list[tuple[str, str]]:
    lines = [("AWS", f"account {aws.account}, as {aws.caller}" if aws.account else "not reached")]
    # A shell that was given to the sandbox stays so until it is closed, and looks like any other.
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        lines.append(("", f"not AWS itself: AWS_ENDPOINT_URL leads to {endpoint}"))
    return lines


def _table(lines: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<11} {words}" for name, words in lines)


def pipeline_in_words(project: Project, codepipeline: Any) -> str:
    """The stages and how they ended."""
    with plain_errors(f"pipeline {project.slug}"):
        stages = codepipeline.get_pipeline_state(name=project.slug)["stageStates"]
    lines = [
        f"  {stage['stageName']:<11} {stage.get('latestExecution', {}).get('status', 'not run yet')}"
        for stage in stages
    ]
    return "\n".join([*lines, f"  {console(project)}"])


def _git_words(facts: Facts) -> str:
    state = facts.git
    if state.commit is None:
        return "no commit"
    dirty = ", with changes that are in no commit" if state.dirty else ""
    return f"commit {state.commit[:8]} of {state.branch or 'no branch'}{dirty}"
