"""Brings an environment to what a record says, proves it with real requests, goes back if that fails."""

import functools
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from configuration.errors import UserError
from release import locks
from release.place import Place, enter
from release.terraform import Root

from . import own_image, package, recovery, reports, smoke
from .endpoint import Endpoint
from .record import Record
from .run import Run
from .smoke import Outcome

Say = Callable[[str], None]

TERRAFORM = "terraform/endpoint"


def deploy(run: Run, record: Record, say: Say) -> Outcome | None:
    """Deploys a record.

    Returns:
        What the smoke test found; None when the record says that there is to be no endpoint.

    Raises:
        UserError: the endpoint did not come up, or did not answer as it should. What was live before is live
            again, or the message says that it is not.
    """
    environment = record.environment
    place = enter(run.settings.project, run.build.own, environment)
    before = run.history.live(environment)
    say(f"{environment}: {record.in_words()} (live: {before.in_words() if before else 'nothing'})")
    if record.model is not None and record.model.copy_of is not None:
        own_image.copy(record.model.copy_of, record.model.image, place.client("ecr"), say)
    root = _root(run, place, record)
    root.initialise()
    locks.release_stale_lock(root, place, functools.partial(run.build.other_builds, environment), say)
    if record.model is None:
        recovery.settled_status(place.client("sagemaker"), record.endpoint_name, say)
        root.plan(destroy=True)
        root.apply()
        run.history.taken_down(environment)
        say(f"{environment}: everything of {record.endpoint_name} is taken down")
        return None
    try:
        _bring_about(place, root, record, say)
    except UserError as error:
        problem = f"{error}{_reason(place.client('sagemaker'), record.endpoint_name)}"
        raise UserError(_taken_back(run, place, record, before or _nothing(record), problem, say)) from error
    say(f"{record.endpoint_name} is in service; asking it")
    outcome = smoke.run(
        Endpoint.of(place.session, record.endpoint_name),
        run.settings.smoke_test(environment),
    )
    reports.keep(run, record, before, outcome)
    if not outcome.passed:
        problem = "\n  ".join([f"The smoke test in {environment} failed:", *outcome.problems])
        raise UserError(_taken_back(run, place, record, before or _nothing(record), problem, say))
    run.history.went_live(record)
    return outcome


def _root(run: Run, place: Place, record: Record) -> Root:
    """Terraform's root with this record as its input."""
    run.build.folder.mkdir(exist_ok=True)
    path = run.build.folder / f"{record.environment}.json"
    path.write_text(record.to_json(), encoding="utf-8", newline="\n")
    (run.build.folder / package.FILE).write_bytes(package.functions(run.settings.root))
    variables = {
        "environment": record.environment,
        "deployment": str(path),
        "deployment_role_arn": place.role_arn,
    }
    return Root(run.settings.root / TERRAFORM, place.state, variables)


def _bring_about(place: Place, root: Root, record: Record, say: Say) -> None:
    """Applies a record, whatever the deployment before it has left behind."""
    name = record.endpoint_name
    status = recovery.settled_status(place.client("sagemaker"), name, say)
    replace = []
    if (
        status in recovery.BEYOND_UPDATES
        and record.model is not None
        and recovery.ENDPOINT in root.addresses()
    ):
        say(f"endpoint {name} is {status}, and cannot be updated any more: it is made anew")
        replace.append(recovery.ENDPOINT)
    found = recovery.orphans(place, root.plan(replace=replace))
    if found:
        for address, existing in found.items():
            say(f"{existing} exists, and the state does not know it: taken in as {address}")
            root.adopt(address, existing)
        if recovery.ENDPOINT in found and status in recovery.BEYOND_UPDATES:
            replace.append(recovery.ENDPOINT)
        root.plan(replace=replace)
    root.apply()


def _taken_back(run: Run, place: Place, record: Record, before: Record, problem: str, say: Say) -> str:
    """Brings back what was live; the problem, with how that went, for a person."""
    if record.serves_as(before):
        return f"{problem}\nThe same was live before: there is nothing to go back to, and it stays."
    say(f"{problem}\nGoing back to {before.in_words()} in {before.environment}")
    try:
        _bring_about(place, _root(run, place, before), before, say)
    except UserError as error:
        return (
            f"{problem}\n{before.environment} could NOT be taken back to {before.in_words()}: {error}\n"
            "The next execution of the pipeline tries again: make publish ARGS=--force"
        )
    if before.model is None:
        return f"{problem}\nThere was no endpoint before, and there is none now."
    return f"{problem}\n{before.environment} serves {before.in_words()} again, as before."


def _nothing(record: Record) -> Record:
    """The record of an environment without an endpoint; its log and dashboard stay to be looked at."""
    return record._replace(model=None)


def _reason(sagemaker: Any, name: str) -> str:
    """What SageMaker says about an endpoint that did not come up; empty when it says nothing."""
    try:
        found = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError:
        return ""
    return f"\n  SageMaker says: {found['FailureReason']}" if found.get("FailureReason") else ""
