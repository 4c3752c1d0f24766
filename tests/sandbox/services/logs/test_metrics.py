"""Lines of a log that go to a function, and lines that are metrics."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from tests.sandbox.services.events.support import ACCOUNT, REGION, make_function, make_role
from tests.waiting import FOREVER, wait_for

GROUP = "/aws/sagemaker/Endpoints/e"
FUNCTION = """
import base64, gzip, json, time
def handler(event, context):
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    for number, line in enumerate(batch["logEvents"]):
        print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [["Group"]],
             "Metrics": [{"Name": "Lines"}, {"Name": "Sizes"}]}]},
            "Group": batch["logGroup"], "Lines": 1, "Sizes": [len(line["message"]), 2]}))
"""


def document(**more: Any) -> dict[str, Any]:
    """A line that is a metric, M of the namespace N."""
    directive = {"Namespace": "N", "Dimensions": [["D"]], "Metrics": [{"Name": "M", "Unit": "Count"}]}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": about, "D": "d", "M": 1, **more}


def put(sandbox: Sandbox, *lines: str, group: str = GROUP) -> None:
    logs = sandbox.client("logs")
    name = f"s{time.monotonic_ns()}"
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=name)
    moment = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group,
        logStreamName=name,
        logEvents=[{"timestamp": moment, "message": line} for line in lines],
    )


def total(sandbox: Sandbox, metric: str, **dimensions: str) -> float:
    """The sum of a metric's values in the last hour."""
    now = datetime.now(UTC)
    answer = sandbox.client("cloudwatch").get_metric_statistics(
        Namespace="N",
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=7200,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in answer["Datapoints"])


def test_a_line_that_is_a_metric_document_becomes_metrics(sandbox: Sandbox) -> None:
    put(sandbox, json.dumps(document()), json.dumps(document(M=[1, 2.5])), "a line", '{"_aws": 1}')
    assert total(sandbox, "M", D="d") == 4.5


@pytest.mark.parametrize(
    "broken",
    [
        {"M": "1"},
        {"M": list(range(101))},
        {"D": 7},
        {"D": ""},
        {"_aws": {"Timestamp": 0, "CloudWatchMetrics": document()["_aws"]["CloudWatchMetrics"]}},
    ],
    ids=["no number", "101 values", "a dimension that is no text", "an empty one", "of 1970"],
)
def test_a_document_that_breaks_a_rule_is_a_line_like_any_other(
    sandbox: Sandbox, broken: dict[str, Any]
) -> None:
    put(sandbox, json.dumps(document(**broken)))
    assert sandbox.client("cloudwatch").list_metrics()["Metrics"] == []
    assert len(sandbox.client("logs").filter_log_events(logGroupName=GROUP)["events"]) == 1


def test_lines_that_match_go_to_a_function_whose_log_has_metrics(sandbox: Sandbox) -> None:
    role = make_role(sandbox, "writer", "lambda.amazonaws.com", "logs:*")
    arn = make_function(sandbox, FUNCTION, Role=role)
    put(sandbox, "before the filter: watch")
    logs, functions = sandbox.client("logs"), sandbox.client("lambda")
    wanted = {"logGroupName": GROUP, "filterName": "f", "filterPattern": '"watch "', "destinationArn": arn}
    with pytest.raises(ClientError, match="Could not execute the lambda function"):
        logs.put_subscription_filter(**wanted)
    functions.add_permission(
        FunctionName="worker",
        StatementId="Logs",
        Action="lambda:InvokeFunction",
        Principal="logs.amazonaws.com",
        SourceArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*",
        SourceAccount=ACCOUNT,
    )
    with pytest.raises(ClientError, match="filterPattern"):
        logs.put_subscription_filter(**{**wanted, "filterPattern": "{ $.a = 1 }"})
    logs.put_subscription_filter(**wanted)
    (found,) = logs.describe_subscription_filters(logGroupName=GROUP)["subscriptionFilters"]
    assert (found["filterPattern"], found["destinationArn"]) == ('"watch "', arn)
    put(sandbox, "INFO worker - watch 12", "watching nobody", "watch 3")
    assert events.wait_idle(FOREVER)
    assert wait_for(lambda: total(sandbox, "Lines", Group=GROUP)) == 2
    assert total(sandbox, "Sizes", Group=GROUP) == len("INFO worker - watch 12") + len("watch 3") + 4
    logs.delete_subscription_filter(logGroupName=GROUP, filterName="f")
    put(sandbox, "watch 4")
    assert events.wait_idle(FOREVER)
    assert total(sandbox, "Lines", Group=GROUP) == 2
