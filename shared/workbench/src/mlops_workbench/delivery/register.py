"""What registering does: a plan without effects, so that it can be shown first, and its steps.

Each step looks for what is there before it changes anything, so that all can be done again.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from configuration import UserError

from . import git, publish, terraform
from .aws import Foundation, Session, client, ensure_secret, plain_errors
from .bitbucket import Cloud, Hosting, hosting
from .facts import TOKEN, Aws, Facts, settings, webhook_url
from .project import Project

BRANCH = "main"  # the branch that the pipeline follows

Say = Callable[[str], None]


class StepFailed(UserError):
    """A step failed: which one, why, and how to go on."""

    def __init__(self, number: int, step: str, reason: str, retry: str) -> None:
        super().__init__(
            f"Step {number} failed: {step}\n  {reason}\n"
            f"What was done before it stays. When the reason is mended, this continues:\n  {retry}"
        )


class World(NamedTuple):
    """What the steps act on."""

    project: Project
    foundation: Foundation
    aws: Session


class Step(NamedTuple):
    """One thing to do, in words for a person and as a call."""

    words: str
    do: Callable[[World, Say], None]


def problems(project: Project, facts: Facts, *, bitbucket: bool) -> list[str]:
    """What a person has to mend before anything can be done; one line each.

    Args:
        project: this repository.
        facts: what is there.
        bitbucket: whether the repository is created in Bitbucket, connected, and its first commit pushed.
    """
    return [
        *aws_problems(project, facts.aws),
        *([facts.terraform_problem] if facts.terraform_problem else []),
        *_bitbucket_problems(project, facts, bitbucket=bitbucket),
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


def _bitbucket_problems(project: Project, facts: Facts, *, bitbucket: bool) -> list[str]:
    found = []
    if facts.git.commit is None:
        found.append('There is no commit to push: git init && git add -A && git commit -m "First commit"')
    elif facts.git.branch != BRANCH:
        found.append(
            f"git: expected branch {BRANCH}, which the pipeline follows, got {facts.git.branch or 'none'}"
        )
    if bitbucket and facts.remote is not None and facts.remote.problem:
        found.append(
            f"Bitbucket: {facts.remote.problem}. Set {TOKEN} to an HTTP access token with administrator "
            f"permission on project {project.bitbucket_project}; or leave Bitbucket out: "
            "make register ARGS=--no-bitbucket"
        )
    return found


def steps(project: Project, facts: Facts, *, bitbucket: bool) -> list[Step]:
    """What is left to do, in order; Terraform always, because only Terraform knows whether it is.

    The source goes before a new pipeline: AWS starts a pipeline when it is made, and without a source that
    fails and tells people so. With a pipeline that is there it goes last, so that it is built as the new
    Terraform says.
    """
    foundation, remote, commit = facts.aws.foundation, facts.remote, facts.git.commit
    assert foundation is not None and commit is not None  # else there are problems
    first: list[Step] = []
    sends = False  # whether a push reaches AWS by itself
    if bitbucket and remote is not None:
        if not remote.repository:
            where = f"{project.bitbucket_url}, project {project.bitbucket_project}"
            words = f"create repository {project.repository} in {where}"
            first.append(Step(words, _create_repository))
        sends = (
            foundation.webhook_url if project.hosting == "data-center" else foundation.publisher_role_arn
        ) is not None
        kept = facts.aws.secret or project.hosting == "cloud"
        if sends and not (remote.connected and kept):
            first.append(Step(_connect_words(project, foundation), _connect))
    apply = Step(_apply_words(project, foundation, facts.aws.pipeline), _apply)
    source: list[Step] = []
    pushes = bitbucket and remote is not None and remote.commit != commit
    if pushes:
        words = f"push commit {commit[:8]} to branch {BRANCH} of {project.repository}"
        source.append(Step(words, _push))
    # a commit that Bitbucket had before it was connected has reached nobody
    if facts.aws.published != commit and not (pushes and sends):
        words = f"publish commit {commit[:8]} to s3://{project.source_bucket}, which starts the pipeline"
        source.append(Step(words, _publish))
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


def act(world: World, steps: Sequence[Step], retry: str, say: Say) -> None:
    """Does the steps in order.

    Raises:
        StepFailed: the first step that fails ends it.
    """
    for number, step in enumerate(steps, start=1):
        say(f"{number}/{len(steps)}  {step.words}")
        try:
            step.do(world, say)
        except UserError as error:
            raise StepFailed(number, step.words, str(error), retry) from error


class Opened(NamedTuple):
    """The repository in Bitbucket, and git's variables for it."""

    place: Hosting
    git_access: dict[str, str]


def open_bitbucket(project: Project) -> Opened:
    """Opens Bitbucket with the token of the environment.

    Raises:
        UserError: there is no token.
    """
    token, ca_file = settings()
    if token is None:
        raise UserError(f"{TOKEN} is not set")
    place = hosting(project, token, ca_file)
    return Opened(place, git.access(place.clone_url, token, ca_file, place.git_user))


def _create_repository(world: World, say: Say) -> None:
    place = open_bitbucket(world.project).place
    place.create(world.project.name)
    say(f"     {place.page}")


def _connect(world: World, say: Say) -> None:
    place = open_bitbucket(world.project).place
    foundation, project = world.foundation, world.project
    if isinstance(place, Cloud):
        assert foundation.publisher_role_arn is not None  # the plan has this step only then
        place.set_role(foundation.publisher_role_arn)
        say(f"     a platform engineer lists {place.uuid()} in the foundation's bitbucket_repository_uuids")
        return
    with plain_errors("Secrets Manager"):
        value = ensure_secret(client(world.aws, "secretsmanager"), foundation, project)
    place.set_webhook(webhook_url(foundation, project), f"{project.prefix}-delivery", value)


def _apply(world: World, say: Say) -> None:
    terraform.initialise(world.project, world.foundation.state_bucket)
    if not terraform.change(world.project):
        say("     nothing to change")
    lock = world.project.terraform_folder.relative_to(world.project.root) / ".terraform.lock.hcl"
    if git.ask(world.project.root, "status", "--porcelain", "--", lock.as_posix()):
        say(f"     new: {lock.as_posix()}, which holds the provider to what was installed here: commit it")


def _push(world: World, say: Say) -> None:
    place, access = open_bitbucket(world.project)
    root = world.project.root
    if git.state(root).origin is None:
        git.run(root, "remote", "add", "origin", place.clone_url)
    # the address, not `origin`: that may be another, and the token is for this one
    git.run(root, "push", "--quiet", place.clone_url, f"HEAD:refs/heads/{BRANCH}", environment=access)


def _publish(world: World, say: Say) -> None:
    source = publish.choose(world.project.root, BRANCH, allow_dirty=True)
    s3 = client(world.aws, "s3")
    publish.publish(s3, world.project, source, force=False, say=lambda line: say(f"     {line}"))
