"""Brings an environment to what a record says, proves it with real requests, goes back if that fails.

An interrupted deployment may have left an endpoint that is still being made or changed, one that has failed,
which SageMaker lets nobody update any more, or resources that the state does not know: that is put in order
first.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from configuration import UserError
from release.aws import code, plain_errors
from release.environments import Place, enter
from release.history import report_key
from release.terraform import MISSING, New, Root, orphans, release_stale_lock

from . import own_image, report, smoke
from .endpoint import Endpoint
from .record import WATCHING_FILE, Record, Run, watching_code
from .smoke import Outcome

Say = Callable[[str], None]

TERRAFORM = "terraform/endpoint"
ENDPOINT = "aws_sagemaker_endpoint.this[0]"
IN_TRANSITION = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})

#: "DeleteEndpoint is the only operation that can be performed on a failed endpoint." [read] DescribeEndpoint
BEYOND_UPDATES = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
LONGEST_TRANSITION = 45 * 60  # seconds


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
    release_stale_lock(root, place, functools.partial(run.build.other_builds, environment), say)
    if record.model is None:
        _settled_status(place.client("sagemaker"), record.endpoint_name, say)
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
    _keep_report(run, record, before, outcome)
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
    (run.build.folder / WATCHING_FILE).write_bytes(watching_code(run.settings.root))
    variables = {
        "environment": record.environment,
        "deployment": str(path),
        "deployment_role_arn": place.role_arn,
    }
    return Root(run.settings.root / TERRAFORM, place.state, variables)


def _bring_about(place: Place, root: Root, record: Record, say: Say) -> None:
    """Applies a record, whatever the deployment before it has left behind."""
    name = record.endpoint_name
    status = _settled_status(place.client("sagemaker"), name, say)
    replace = []
    if status in BEYOND_UPDATES and record.model is not None and ENDPOINT in root.addresses():
        say(f"endpoint {name} is {status}, and cannot be updated any more: it is made anew")
        replace.append(ENDPOINT)
    found = _orphans(place, root.plan(replace=replace))
    if found:
        for address, existing in found.items():
            say(f"{existing} exists, and the state does not know it: taken in as {address}")
            root.adopt(address, existing)
        if ENDPOINT in found and status in BEYOND_UPDATES:
            replace.append(ENDPOINT)
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


def _settled_status(sagemaker: Any, name: str, say: Say) -> str | None:
    """The endpoint's status once nothing changes it any more; None when there is no endpoint.

    Raises:
        UserError: it does not come to rest within 45 minutes.
    """
    status = _status(sagemaker, name)
    if status in IN_TRANSITION:
        say(f"endpoint {name} is {status}, from a deployment before this one: waiting for its end")
    waited = 0
    while status in IN_TRANSITION:
        if waited >= LONGEST_TRANSITION:
            raise UserError(f"endpoint {name}: expected an end of {status} within 45 minutes, got none")
        time.sleep(10)
        waited += 10
        status = _status(sagemaker, name)
    return status


def _orphans(place: Place, made: Sequence[New]) -> dict[str, str]:
    """What a plan would make although it exists: address -> name."""
    look = {"aws_sagemaker_endpoint": lambda name: _status(place.client("sagemaker"), name)}
    return orphans(place, made, look)


def _status(sagemaker: Any, name: str) -> str | None:
    with plain_errors(f"endpoint {name}"):
        try:
            return str(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])
        except ClientError as error:
            if code(error) in MISSING:
                return None
            raise


def _keep_report(run: Run, record: Record, before: Record | None, outcome: Outcome) -> None:
    """Writes the report and uploads it."""
    html = report.html(
        record, before, outcome, project=run.settings.project.name, execution=run.build.execution
    )
    (run.build.folder / f"{record.environment}.html").write_text(html, encoding="utf-8", newline="\n")
    run.history.put_report(report_key(run.build.execution, record.environment), html)
