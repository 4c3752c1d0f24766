"""What an interrupted deployment leaves behind, put in order before the next one.

A build can be stopped, or run out of time, at any moment. What it may leave: a lock on the state that nobody
will release; an endpoint that is still being made or changed; one that has failed, which SageMaker lets
nobody update any more; and resources with fixed names that the state does not know, because the build ended
before it was written.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from configuration.errors import UserError
from release.aws import code, plain_errors
from release.orphans import MISSING
from release.orphans import orphans as found_orphans
from release.place import Place
from release.terraform import New

Say = Callable[[str], None]

ENDPOINT = "aws_sagemaker_endpoint.this[0]"
IN_TRANSITION = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
#: "DeleteEndpoint is the only operation that can be performed on a failed endpoint." [read] DescribeEndpoint
BEYOND_UPDATES = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
LONGEST_TRANSITION = 45 * 60  # seconds


def settled_status(sagemaker: Any, name: str, say: Say) -> str | None:
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


def orphans(place: Place, made: Sequence[New]) -> dict[str, str]:
    """What a plan would make although it exists: address -> name."""
    look = {"aws_sagemaker_endpoint": lambda name: _status(place.client("sagemaker"), name)}
    return found_orphans(place, made, look)


def _status(sagemaker: Any, name: str) -> str | None:
    with plain_errors(f"endpoint {name}"):
        try:
            return str(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])
        except ClientError as error:
            if code(error) in MISSING:
                return None
            raise
