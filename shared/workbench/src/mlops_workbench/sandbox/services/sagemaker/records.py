"""A resource of SageMaker as its Describe call returns it, and what all its calls have in common.

moto's own classes take the parameters they know and drop or invent the rest. A record keeps what was
given, under the names of the API. It lives in moto's dictionaries, so that tags and Search find it. A
request is held against the service's own model: types, enums, patterns and limits. List* calls share
filters, order and pages.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.validate import ParamValidator
from moto.sagemaker.exceptions import ValidationError

from mlops_workbench.sandbox import constraints
from mlops_workbench.sandbox.constraints import request_shape

#: The source of SageMaker's events on EventBridge.
EVENT_SOURCE = "aws.sagemaker"
#: "The default value is 10": API reference of ListProcessingJobs, ListTransformJobs and others.
DEFAULT_PAGE = 10
_TIMES = {"CreationTime": "CreationTime", "LastModifiedTime": "LastModifiedTime"}


def now() -> datetime:
    """Return the time as descriptions carry it."""
    return datetime.now(UTC)


def arn(account: str, region: str, kind: str, name: str) -> str:
    """Return the ARN of a SageMaker resource."""
    partition = "aws-cn" if region.startswith("cn-") else "aws"
    return f"arn:{partition}:sagemaker:{region}:{account}:{kind}/{name}"


@dataclass
class Record:
    """A resource: its ARN, what Describe returns, and its tags."""

    arn: str
    description: dict[str, Any]
    tags: list[dict[str, str]] = field(default_factory=list)

    def update(self, **changes: Any) -> None:
        """Change the description; whoever reads it meanwhile sees the old one or the new one, whole."""
        self.description = {**self.description, **changes}

    @property
    def response_object(self) -> dict[str, Any]:
        """Return the description, where moto's Search looks for it."""
        return self.description

    def gen_response_object(self) -> dict[str, Any]:
        """Return the description, where moto's Search looks for it."""
        return self.description


def plain(value: Any) -> Any:
    """Return a value of a description as events have it."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def checked(operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without the members that are null.

    Raises:
        ValidationError: it breaks a rule of the service's model; names every problem.
    """
    request = {key: value for key, value in params.items() if value is not None}
    shape = request_shape(operation)
    report = ParamValidator().validate(request, shape)
    problems = report.generate_report().splitlines() if report.has_errors() else []
    problems += [f"{path}: {message}" for path, message in constraints.problems(shape, request)]
    if problems:
        count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected"
        raise ValidationError(f"{count}: {'; '.join(problems)}")
    return request


def page(
    items: Iterable[Mapping[str, Any]],
    request: Mapping[str, Any],
    *,
    name: str,
    status: str | None = None,
    order: str = "Ascending",
    limit: int = DEFAULT_PAGE,
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Select, sort and cut a list as the service does.

    Args:
        items: descriptions, in the order of creation.
        request: NameContains, StatusEquals, CreationTimeAfter/Before, LastModifiedTimeAfter/Before, SortBy,
            SortOrder, MaxResults, NextToken.
        name: the key that SortBy=Name and NameContains look at.
        status: the key that SortBy=Status and StatusEquals look at.
        order: the call's default SortOrder; it differs from call to call.
        limit: the page's length when MaxResults is not given.

    Returns:
        The page, and the NextToken when there is more.

    Raises:
        ValidationError: a NextToken that no call gave.
    """
    chosen = [item for item in items if _matches(item, request, name, status)]
    keys = {"Name": name, "Status": status or name, "CreationTime": "CreationTime"}
    key = keys.get(request.get("SortBy") or "CreationTime", request.get("SortBy") or "CreationTime")
    descending = (request.get("SortOrder") or order) == "Descending"
    if descending:
        # Of two of the same moment the later one comes first, as if their times differed.
        chosen.reverse()
    chosen.sort(key=lambda item: item[key], reverse=descending)
    start = _decode(request.get("NextToken"))
    end = start + (request.get("MaxResults") or limit)
    return chosen[start:end], _encode(end) if end < len(chosen) else None


def _matches(item: Mapping[str, Any], request: Mapping[str, Any], name: str, status: str | None) -> bool:
    if (part := request.get("NameContains")) and part.lower() not in item[name].lower():
        return False
    if status and (wanted := request.get("StatusEquals")) and item[status] != wanted:
        return False
    for key in _TIMES:
        after, before = request.get(f"{key}After"), request.get(f"{key}Before")
        if after is not None and not _time(item[key]) > _time(after):
            return False
        if before is not None and not _time(item[key]) < _time(before):
            return False
    return True


def _time(value: Any) -> datetime:
    """Read a time as a request (seconds, text or datetime) or a description (datetime, UTC) carries it."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment: datetime = value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _encode(position: int) -> str:
    return base64.urlsafe_b64encode(f"from:{position}".encode()).decode()


def _decode(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("from:"))
    except ValueError:
        raise ValidationError(f"NextToken: expected one that this call returned, got {token!r}") from None
