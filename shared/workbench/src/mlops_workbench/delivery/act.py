"""Does the steps of a plan. Each looks for what is there first, so that all can be done again."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import git, publish, secret, terraform
from .aws import Session, client, plain_errors
from .bitbucket import Cloud, Hosting, hosting
from .errors import DeliveryError
from .foundation import Foundation
from .plan import BRANCH, Action, Step
from .probe import TOKEN, settings, webhook_url
from .project import Project

Say = Callable[[str], None]


class StepFailed(DeliveryError):
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


def act(world: World, steps: Sequence[Step], retry: str, say: Say) -> None:
    """Does the steps in order.

    Raises:
        StepFailed: the first step that fails ends it.
    """
    for number, step in enumerate(steps, start=1):
        say(f"{number}/{len(steps)}  {step.words}")
        try:
            DO[step.action](world, say)
        except DeliveryError as error:
            raise StepFailed(number, step.words, str(error), retry) from error


class Opened(NamedTuple):
    """The repository in Bitbucket, and git's variables for it."""

    place: Hosting
    git_access: dict[str, str]


def bitbucket(project: Project) -> Opened:
    """Opens Bitbucket with the token of the environment.

    Raises:
        DeliveryError: there is no token.
    """
    token, ca_file = settings()
    if token is None:
        raise DeliveryError(f"{TOKEN} is not set")
    place = hosting(project, token, ca_file)
    return Opened(place, git.access(place.clone_url, token, ca_file, place.git_user))


def _create_repository(world: World, say: Say) -> None:
    place = bitbucket(world.project).place
    place.create(world.project.name)
    say(f"     {place.page}")


def _connect(world: World, say: Say) -> None:
    place = bitbucket(world.project).place
    foundation, project = world.foundation, world.project
    if isinstance(place, Cloud):
        assert foundation.publisher_role_arn is not None  # the plan has this step only then
        place.set_role(foundation.publisher_role_arn)
        say(f"     a platform engineer lists {place.uuid()} in the foundation's bitbucket_repository_uuids")
        return
    with plain_errors("Secrets Manager"):
        value = secret.ensure(client(world.aws, "secretsmanager"), foundation, project)
    place.set_webhook(webhook_url(foundation, project), f"{project.prefix}-delivery", value)


def _apply(world: World, say: Say) -> None:
    terraform.initialise(world.project, world.foundation.state_bucket)
    if not terraform.change(world.project):
        say("     nothing to change")
    lock = world.project.terraform_folder.relative_to(world.project.root) / ".terraform.lock.hcl"
    if git.ask(world.project.root, "status", "--porcelain", "--", lock.as_posix()):
        say(f"     new: {lock.as_posix()}, which holds the provider to what was installed here: commit it")


def _push(world: World, say: Say) -> None:
    place, access = bitbucket(world.project)
    root = world.project.root
    if git.state(root).origin is None:
        git.run(root, "remote", "add", "origin", place.clone_url)
    # the address, not `origin`: that may be another, and the token is for this one
    git.run(root, "push", "--quiet", place.clone_url, f"HEAD:refs/heads/{BRANCH}", environment=access)


def _publish(world: World, say: Say) -> None:
    source = publish.choose(world.project.root, BRANCH, allow_dirty=True)
    s3 = client(world.aws, "s3")
    publish.publish(s3, world.project, source, force=False, say=lambda line: say(f"     {line}"))


DO: dict[Action, Callable[[World, Say], None]] = {
    Action.CREATE_REPOSITORY: _create_repository,
    Action.CONNECT: _connect,
    Action.APPLY: _apply,
    Action.PUSH: _push,
    Action.PUBLISH: _publish,
}
