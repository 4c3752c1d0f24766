"""From what is there and what is wished to what will be done: no effects, so that it can be shown first."""

from enum import Enum, auto
from typing import NamedTuple

from .foundation import Foundation
from .probe import TOKEN, Aws, Facts
from .project import Project

BRANCH = "main"  # the branch that the pipeline follows


class Wishes(NamedTuple):
    """What a person wants of registering, beyond the pipeline itself."""

    bitbucket: bool = True  # create the repository, connect it, push the first commit


class Action(Enum):
    """What a step does; `act` has one function for each."""

    CREATE_REPOSITORY = auto()
    CONNECT = auto()
    APPLY = auto()
    PUSH = auto()
    PUBLISH = auto()


class Step(NamedTuple):
    """One thing to do, in words for a person."""

    action: Action
    words: str


def problems(project: Project, facts: Facts, wishes: Wishes) -> list[str]:
    """What a person has to mend before anything can be done; one line each."""
    return [
        *aws_problems(project, facts.aws),
        *_tool_problems(facts),
        *_bitbucket_problems(project, facts, wishes),
    ]


def aws_problems(project: Project, aws: Aws) -> list[str]:
    """What is wrong with the account, its foundation, or how both fit this repository."""
    if aws.account is not None and aws.account != project.shared_services:
        return [
            f"AWS credentials: expected account {project.shared_services} (accounts.shared_services in "
            f"config/project.yaml), got account {aws.account} ({aws.caller})"
        ]
    if aws.problem is not None:
        return [aws.problem]
    if aws.foundation is None:
        return [
            f"Parameter {project.foundation_parameter} is not in {project.region}: a platform engineer "
            "applies the foundation once per organisation; or `prefix` in config/project.yaml is another's"
        ]
    found = []
    if aws.foundation.region != project.region:
        found.append(f"region: expected the foundation's, {aws.foundation.region}, got {project.region}")
    if aws.foundation.source_bucket != project.source_bucket:
        found.append(
            f"source bucket: expected {project.source_bucket}, "
            f"the foundation's is {aws.foundation.source_bucket}"
        )
    if aws.foundation.bitbucket_hosting != project.hosting:
        found.append(
            f"bitbucket.url in config/project.yaml is of a {project.hosting}, "
            f"the foundation is for {aws.foundation.bitbucket_hosting}"
        )
    if not aws.state_bucket:
        found.append(
            f"Terraform's state bucket {aws.foundation.state_bucket} is not there: apply the foundation again"
        )
    return found


def _tool_problems(facts: Facts) -> list[str]:
    return [facts.terraform_problem] if facts.terraform_problem else []


def _bitbucket_problems(project: Project, facts: Facts, wishes: Wishes) -> list[str]:
    found = []
    if facts.git.commit is None:
        found.append('There is no commit to push: git init && git add -A && git commit -m "First commit"')
    elif facts.git.branch != BRANCH:
        found.append(
            f"git: expected branch {BRANCH}, which the pipeline follows, got {facts.git.branch or 'none'}"
        )
    if wishes.bitbucket and facts.remote is not None and facts.remote.problem:
        found.append(
            f"Bitbucket: {facts.remote.problem}. Set {TOKEN} to an HTTP access token with administrator "
            f"permission on project {project.bitbucket_project}; or leave Bitbucket out: "
            "make register ARGS=--no-bitbucket"
        )
    return found


def steps(project: Project, facts: Facts, wishes: Wishes) -> list[Step]:
    """What is left to do, in order; Terraform always, because only Terraform knows whether it is.

    The source goes before a new pipeline: AWS starts a pipeline when it is made, and without a source that
    fails and tells people so. With a pipeline that is there it goes last, so that it is built as the new
    Terraform says.
    """
    foundation, remote, commit = facts.aws.foundation, facts.remote, facts.git.commit
    assert foundation is not None and commit is not None  # else there are problems
    first: list[Step] = []
    sends = False  # whether a push reaches AWS by itself
    if wishes.bitbucket and remote is not None:
        if not remote.repository:
            where = f"{project.bitbucket_url}, project {project.bitbucket_project}"
            words = f"create repository {project.repository} in {where}"
            first.append(Step(Action.CREATE_REPOSITORY, words))
        sends = (
            foundation.webhook_url if project.hosting == "data-center" else foundation.publisher_role_arn
        ) is not None
        kept = facts.aws.secret or project.hosting == "cloud"
        if sends and not (remote.connected and kept):
            first.append(Step(Action.CONNECT, _connect_words(project, foundation)))
    apply = Step(Action.APPLY, _apply_words(project, foundation, facts.aws.pipeline))
    source: list[Step] = []
    pushes = wishes.bitbucket and remote is not None and remote.commit != commit
    if pushes:
        words = f"push commit {commit[:8]} to branch {BRANCH} of {project.repository}"
        source.append(Step(Action.PUSH, words))
    # a commit that Bitbucket had before it was connected has reached nobody
    if facts.aws.published != commit and not (pushes and sends):
        words = f"publish commit {commit[:8]} to s3://{project.source_bucket}, which starts the pipeline"
        source.append(Step(Action.PUBLISH, words))
    return [*first, apply, *source] if facts.aws.pipeline else [*first, *source, apply]


def _connect_words(project: Project, foundation: Foundation) -> str:
    if project.hosting == "cloud":
        return f"switch Bitbucket Pipelines on and let it publish as {foundation.publisher_role_arn}"
    return (
        f"make a webhook from the repository to {foundation.webhook_url}/{project.repository}; its secret is "
        f"made here and kept in Secrets Manager as {foundation.webhook_secret_prefix}{project.repository}"
    )


def _apply_words(project: Project, foundation: Foundation, there: bool) -> str:
    return (
        f"apply terraform/delivery, {'which is there' if there else 'new'}: CodePipeline {project.slug}, its "
        f"builds, roles, key and bucket {project.bucket} (state: "
        f"s3://{foundation.state_bucket}/{project.state_key})"
    )
