"""What is there: AWS, Bitbucket, Terraform and git are asked, nothing is changed; and it in words."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, NoCredentialsError

from configuration import UserError

from . import git, publish, terraform
from .aws import Foundation, Session, client, code, find_foundation, plain_errors, secret_exists
from .bitbucket import Cloud, DataCenter, Hosting, hosting
from .project import Project

TOKEN = "BITBUCKET_TOKEN"
CA_FILE = "BITBUCKET_CA_FILE"
NO_CREDENTIALS = (
    "AWS credentials: found none. Sign in as your organisation does (for example aws sso login, and "
    'AWS_PROFILE); for the sandbox: eval "$(mlops-sandbox env)"'
)


class Aws(NamedTuple):
    """What AWS says; `problem` is why it says no more."""

    account: str | None = None
    caller: str | None = None
    foundation: Foundation | None = None
    state_bucket: bool = False
    secret: bool = False
    pipeline: bool = False
    published: str | None = None
    problem: str | None = None


class Remote(NamedTuple):
    """What Bitbucket says; `problem` is why it says no more."""

    repository: bool = False
    connected: bool = False  # Data Center: the webhook; Cloud: the publisher's role
    commit: str | None = None  # of the branch main
    problem: str | None = None


class Facts(NamedTuple):
    """Everything that the plan is made from."""

    aws: Aws
    remote: Remote | None  # None: Bitbucket was not to be asked
    terraform: str | None
    terraform_problem: str | None
    git: git.State


def settings(environment: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """The token, and the file of certificates that vouch for Bitbucket."""
    ca_file = environment.get(CA_FILE) or environment.get("SSL_CERT_FILE") or None
    return environment.get(TOKEN) or None, ca_file


def look(project: Project, aws: Session, *, bitbucket: bool) -> Facts:
    """Asks everybody, Bitbucket only if that is wished; what does not answer is a fact too."""
    found = ask_aws(project, aws)
    remote = ask_remote(project, found.foundation) if bitbucket else None
    try:
        version, problem = terraform.version(), None
    except UserError as error:
        version, problem = None, str(error)
    return Facts(found, remote, version, problem, git.state(project.root))


def ask_aws(project: Project, aws: Session) -> Aws:
    """Whose credentials these are, and what the account holds; stops at the first thing that is wrong."""
    found = Aws()
    try:
        with plain_errors("AWS credentials"):
            try:
                identity = client(aws, "sts").get_caller_identity()
            except NoCredentialsError:
                raise UserError(NO_CREDENTIALS) from None
        found = found._replace(account=identity["Account"], caller=identity["Arn"])
        if found.account != project.shared_services:
            return found
        foundation = find_foundation(project, aws)
        found = found._replace(foundation=foundation)
        if foundation is None:
            return found
        s3 = client(aws, "s3")
        found = found._replace(
            state_bucket=_answers(
                f"s3://{foundation.state_bucket}", lambda: s3.head_bucket(Bucket=foundation.state_bucket)
            ),
            published=publish.published_commit(s3, project, "main"),
        )
        with plain_errors("Secrets Manager"):
            kept = foundation.webhook_url is not None and secret_exists(
                client(aws, "secretsmanager"), foundation, project
            )
        pipelines = client(aws, "codepipeline")
        return found._replace(
            secret=kept,
            pipeline=_answers("CodePipeline", lambda: pipelines.get_pipeline(name=project.slug)),
        )
    except UserError as error:
        return found._replace(problem=str(error))


def ask_remote(project: Project, foundation: Foundation | None) -> Remote:
    """What Bitbucket holds of this repository."""
    token, ca_file = settings()
    if token is None:
        return Remote(problem=f"{TOKEN} is not set")
    found = Remote()
    try:
        place = hosting(project, token, ca_file)
        if not place.exists():
            return found
        found = found._replace(repository=True)
        access = git.access(place.clone_url, token, ca_file, place.git_user)
        found = found._replace(
            connected=connected(place, project, foundation),
            commit=git.branch_commit(project.root, place.clone_url, "main", access),
        )
    except UserError as error:
        return found._replace(problem=str(error))
    return found


def connected(place: Hosting, project: Project, foundation: Foundation | None) -> bool:
    """Whether a push to this repository leads to AWS."""
    if foundation is None:
        return False
    if isinstance(place, Cloud):
        return foundation.publisher_role_arn is not None and place.role() == foundation.publisher_role_arn
    return foundation.webhook_url is not None and webhook_ready(place, project, foundation)


def webhook_ready(place: DataCenter, project: Project, foundation: Foundation) -> bool:
    """Whether the webhook is there and switched on."""
    found = place.webhook(webhook_url(foundation, project))
    return found is not None and bool(found.get("active"))


def webhook_url(foundation: Foundation, project: Project) -> str:
    """Where this repository's webhook calls."""
    return f"{foundation.webhook_url}/{project.repository}"


def _answers(what: str, call: Callable[[], object]) -> bool:
    """Whether the thing is there."""
    with plain_errors(what):
        try:
            call()
        except ClientError as error:
            if code(error) in ("404", "NoSuchBucket", "PipelineNotFoundException"):
                return False
            raise
    return True


def console(project: Project) -> str:
    """Where a browser shows the pipeline."""
    domain = {"cn": "console.amazonaws.cn", "us-gov": "console.amazonaws-us-gov.com"}
    partition = "us-gov" if project.region.startswith("us-gov-") else project.region.partition("-")[0]
    host = domain.get(partition, "console.aws.amazon.com")
    return f"https://{project.region}.{host}/codesuite/codepipeline/pipelines/{project.slug}/view?region={project.region}"


def in_words(project: Project, facts: Facts) -> str:
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
