"""Brings an environment to what a record says, with Terraform, as the deployment role of that environment."""

import functools
from collections.abc import Callable

from release import locks
from release.orphans import orphans
from release.place import Place, enter
from release.terraform import Root

from .record import Record
from .run import Run

Say = Callable[[str], None]

TERRAFORM = "terraform/batch"
DATA = "module.bucket."
"""Addresses of what holds people's files; it is never destroyed by a deployment."""


def deploy(run: Run, record: Record, say: Say) -> Place:
    """Deploys a record; its files are in the build's folder.

    Returns:
        The environment, entered as its deployment role.

    Raises:
        UserError: Terraform did not succeed; its own words are in the log.
    """
    environment = record.environment
    place = enter(run.settings.project, run.build.own, environment)
    before = run.history.live(environment)
    say(f"{environment}: {record.in_words()} (live: {before.in_words() if before else 'nothing'})")
    root = _root(run, place, record)
    root.initialise()
    locks.release_stale_lock(root, place, functools.partial(run.build.other_builds, environment), say)
    if record.enabled:
        _bring_about(place, root, say)
    else:
        _take_down(root, record, say)
    return place


def _root(run: Run, place: Place, record: Record) -> Root:
    """Terraform's root with this record as its input."""
    path = run.build.folder / f"{record.environment}.json"
    path.write_text(record.to_json(), encoding="utf-8")
    variables = {
        "environment": record.environment,
        "deployment": str(path),
        "deployment_role_arn": place.role_arn,
    }
    return Root(run.settings.root / TERRAFORM, place.state, variables)


def _bring_about(place: Place, root: Root, say: Say) -> None:
    """Applies the record, whatever an interrupted deployment has left behind."""
    found = orphans(place, root.plan())
    if found:
        for address, existing in found.items():
            say(f"{existing} exists, and the state does not know it: taken in as {address}")
            root.adopt(address, existing)
        root.plan()
    root.apply()


def _take_down(root: Root, record: Record, say: Say) -> None:
    """Destroys everything but the bucket with people's files, which stays where it is."""
    if root.forget(DATA):
        say(f"s3://{record.bucket} stays with all its files; enabling {record.environment} again takes it in")
    root.plan(destroy=True)
    root.apply()
