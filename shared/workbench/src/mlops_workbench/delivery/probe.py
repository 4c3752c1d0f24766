"""What is there: AWS, Bitbucket, Terraform and git are asked, nothing is changed."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from botocore.exceptions import ClientError, NoCredentialsError

from . import git, publish, secret, terraform
from .aws import Session, client, code, plain_errors
from .bitbucket import Cloud, DataCenter, Hosting, hosting
from .errors import DeliveryError
from .foundation import Foundation, parse
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


def probe(project: Project, aws: Session, *, ask_bitbucket: bool) -> Facts:
    """Asks everybody; what does not answer is a fact too."""
    found = ask_aws(project, aws)
    remote = ask_remote(project, found.foundation) if ask_bitbucket else None
    try:
        version, problem = terraform.version(), None
    except DeliveryError as error:
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
                raise DeliveryError(NO_CREDENTIALS) from None
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
            kept = foundation.webhook_url is not None and secret.exists(
                client(aws, "secretsmanager"), foundation, project
            )
        pipelines = client(aws, "codepipeline")
        return found._replace(
            secret=kept,
            pipeline=_answers("CodePipeline", lambda: pipelines.get_pipeline(name=project.slug)),
        )
    except DeliveryError as error:
        return found._replace(problem=str(error))


def find_foundation(project: Project, aws: Session) -> Foundation | None:
    """What the foundation says about itself; None when there is none."""
    name = project.foundation_parameter
    with plain_errors(f"parameter {name}"):
        try:
            answer = client(aws, "ssm").get_parameter(Name=name)
        except ClientError as error:
            if code(error) == "ParameterNotFound":
                return None
            raise
    return parse(name, answer["Parameter"]["Value"])


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
    except DeliveryError as error:
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
