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
    found = orphans(place, root.plan())
    if found:  # what an interrupted deployment has left behind
        for address, existing in found.items():
            say(f"{existing} exists, and the state does not know it: taken in as {address}")
            root.adopt(address, existing)
        root.plan()
    root.apply()
    if not record.enabled:
        say(f"s3://{record.bucket} stays, with all its files; the rest of {environment} is taken down")
    return place


def _root(run: Run, place: Place, record: Record) -> Root:
    """Terraform's root with this record as its input."""
    path = run.build.folder / f"{record.environment}.json"
    path.write_text(record.to_json(), encoding="utf-8", newline="\n")
    variables = {
        "environment": record.environment,
        "deployment": str(path),
        "deployment_role_arn": place.role_arn,
    }
    return Root(run.settings.root / TERRAFORM, place.state, variables)
