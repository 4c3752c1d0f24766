"""Amazon CloudWatch Logs: lines that go to functions, and lines that become metrics.

Subscription filters: moto 5.2.5 sends every line, whatever the pattern says, within PutLogEvents, and
never asks whether CloudWatch Logs may call the function. Here, as [read] in "Log group-level subscription
filters": only lines that match; asynchronously; and a function whose policy does not let
``logs.amazonaws.com`` in for the group is refused. Patterns are terms (a word, or text in quotation
marks); those of JSON and of fields are refused.

CloudWatch's embedded metric format (EMF), which moto has not: [read] "Specification: Embedded metric
format": a line that is a JSON object whose ``_aws.CloudWatchMetrics`` lists directives. A directive has a
namespace, sets of dimensions (names of members, whose values are texts; at most 30) and metrics (names of
members, whose values are numbers, or up to 100 of them). A document that breaks a rule is a line like any
other: there are no metrics, and nobody is told.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.logs.exceptions import InvalidParameterException, LimitExceededException
from moto.logs.models import LogGroup, LogsBackend, LogStream
from moto.logs.utils import EventMessageFilter

from mlops_workbench.sandbox.iam import decide
from mlops_workbench.sandbox.iam.acting import as_account

PRINCIPAL = "logs.amazonaws.com"
_MOST = 2  # for each log group
_TERM = re.compile(r'"[^"]+"|[A-Za-z][\w -]*')

_send = LogStream._send_log_events
_put = LogsBackend.put_subscription_filter
_put_in_group = LogGroup.put_subscription_filter
MOST_VALUES, MOST_DIMENSIONS, MOST_METRICS = 100, 30, 100
_OLDEST, _NEWEST = timedelta(days=14), timedelta(hours=2)

_put_events = LogStream.put_log_events


def _refusal(account: str, region: str, group: str, function_arn: str) -> str:
    source = f"arn:aws:logs:{region}:{account}:log-group:{group}:*"
    return decide.refusal(function_arn, PRINCIPAL, "lambda:InvokeFunction", source, account)


def put_subscription_filter(
    self: LogsBackend,
    log_group_name: str,
    filter_name: str,
    filter_pattern: str,
    destination_arn: str,
    role_arn: str,
) -> None:
    """Make or change a filter."""
    if destination_arn.split(":")[2] == "lambda":
        if filter_pattern and not _TERM.fullmatch(filter_pattern):
            raise InvalidParameterException(
                f"filterPattern: the sandbox's are a word or a text in quotation marks, got {filter_pattern}"
            )
        if log_group_name in self.groups and (
            why := _refusal(self.account_id, self.region_name, log_group_name, destination_arn)
        ):
            raise InvalidParameterException(
                "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission "
                f"to execute your function. ({why})"
            )
    _put(self, log_group_name, filter_name, filter_pattern, destination_arn, role_arn)


def put_in_group(
    self: LogGroup, filter_name: str, filter_pattern: str, destination_arn: str, role_arn: str
) -> None:
    """Keep a filter; the limit does not hold for one that is there already."""
    if filter_name in self.subscription_filters:
        self.subscription_filters[filter_name].update(filter_pattern, destination_arn, role_arn)
        return
    if len(self.subscription_filters) >= _MOST:
        raise LimitExceededException()
    _put_in_group(self, filter_name, filter_pattern, destination_arn, role_arn)


def send_log_events(
    self: LogStream, service: str, destination_arn: str, filter_name: str, log_events: list[dict[str, Any]]
) -> None:
    """Send the lines that match to a function, in a thread, with Lambda's own further attempts."""
    if service != "lambda":
        _send(self, service, destination_arn, filter_name, log_events)
        return
    pattern = EventMessageFilter(self.log_group.subscription_filters[filter_name].filter_pattern)
    matching = [event for event in log_events if pattern.matches(event["message"])]
    if not matching or _refusal(self.account_id, self.region, self.log_group.name, destination_arn):
        return
    content = {
        "messageType": "DATA_MESSAGE",
        "owner": self.account_id,
        "logGroup": self.log_group.name,
        "logStream": self.log_stream_name,
        "subscriptionFilters": [filter_name],
        "logEvents": matching,
    }
    packed = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()
    _call(destination_arn, {"awslogs": {"data": packed}})


def _call(function_arn: str, payload: dict[str, Any]) -> None:
    region, account = function_arn.split(":")[3:5]
    client = as_account("lambda", account, region)
    client.invoke(FunctionName=function_arn, InvocationType="Event", Payload=json.dumps(payload).encode())


def _install_subscriptions() -> None:
    """Replace the calls, and what PutLogEvents does for each filter."""
    LogsBackend.put_subscription_filter = put_subscription_filter  # type: ignore[method-assign]
    LogGroup.put_subscription_filter = put_in_group  # type: ignore[method-assign]
    LogStream._send_log_events = send_log_events  # type: ignore[method-assign]


def data_of(message: str, now: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (namespace, datum as PutMetricData takes it) for each metric of a line; nothing for other lines.

    Args:
        message: the line.
        now: times too far from it are refused, as by the service.
    """
    if not message.startswith("{") or '"_aws"' not in message:
        return
    try:
        document = json.loads(message)
        about = document["_aws"]
        moment = datetime.fromtimestamp(about["Timestamp"] / 1000, UTC)
        if not now - _OLDEST <= moment <= now + _NEWEST:
            return
        found = [each for directive in about["CloudWatchMetrics"] for each in _of(directive, document)]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return
    # moto keeps times without their zone, which is UTC.
    for namespace, datum in found:
        yield namespace, {**datum, "Timestamp": moment.replace(tzinfo=None)}


def _of(directive: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if len(directive["Metrics"]) > MOST_METRICS:
        raise ValueError("too many metrics")
    for names in directive["Dimensions"]:
        if len(names) > MOST_DIMENSIONS:
            raise ValueError("too many dimensions")
        dimensions = [{"Name": name, "Value": _text(document[name])} for name in names]
        for metric in directive["Metrics"]:
            values = document[metric["Name"]]
            values = values if isinstance(values, list) else [values]
            if len(values) > MOST_VALUES:
                raise ValueError("too many values")
            if not values:
                continue
            datum = {
                "MetricName": metric["Name"],
                "Values": [_number(value) for value in values],
                "Unit": metric.get("Unit", "None"),
                "Dimensions": dimensions,
            }
            yield str(directive["Namespace"]), datum


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 1024:
        raise TypeError("not a dimension's value")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("not a number")
    return float(value)


def put_log_events(self: LogStream, log_events: list[dict[str, Any]]) -> str:
    """Keep lines, and take the metrics out of those that are some."""
    token = _put_events(self, log_events)
    now, found = datetime.now(UTC), dict[str, list[dict[str, Any]]]()
    for event in log_events:
        for namespace, datum in data_of(event["message"], now):
            found.setdefault(namespace, []).append(datum)
    for namespace, data in found.items():
        cloudwatch_backends[self.account_id][self.region].put_metric_data(namespace, data)
    return token


def _install_embedded_metrics() -> None:
    """Replace what PutLogEvents does for a stream."""
    LogStream.put_log_events = put_log_events  # type: ignore[method-assign]


def install() -> None:
    """Patch moto."""
    _install_subscriptions()
    _install_embedded_metrics()
