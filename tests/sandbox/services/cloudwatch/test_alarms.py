"""Alarms that fire: data, time and the state that follows, and who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.cloudwatch import running
from tests.waiting import FOREVER, wait_for

ACCOUNT, REGION = "111111111111", "ca-central-1"
ENDPOINT = [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "AllTraffic"}]


class Clock:
    """The time, which only the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class World:
    """Metrics, alarms and a topic whose messages land in a queue."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.client = sandbox.client("cloudwatch")
        self.topic: str = sandbox.client("sns").create_topic(Name="people")["TopicArn"]
        self.queue: str = sandbox.client("sqs").create_queue(QueueName="inbox")["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:inbox"
        sandbox.client("sns").subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        admitted = _statement("sns.amazonaws.com", "sqs:SendMessage", arn)
        sandbox.client("sqs").set_queue_attributes(
            QueueUrl=self.queue, Attributes={"Policy": _document(admitted)}
        )
        self.let_in("cloudwatch.amazonaws.com", {"StringEquals": {"aws:SourceAccount": ACCOUNT}})

    def let_in(self, service: str, condition: dict[str, Any] | None = None) -> None:
        """Let a service publish to the topic, and nobody else."""
        statement = _statement(service, "sns:Publish", self.topic, condition)
        self.sandbox.client("sns").set_topic_attributes(
            TopicArn=self.topic, AttributeName="Policy", AttributeValue=_document(statement)
        )

    def put(self, *values: float, metric: str = "Invocation4XXErrors", **more: Any) -> None:
        """Publish values of now."""
        self.client.put_metric_data(
            Namespace="AWS/SageMaker",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": ENDPOINT,
                    "Timestamp": self.clock(),
                    "Values": list(values),
                    **more,
                }
            ],
        )

    def alarm(self, **given: Any) -> None:
        """Make an alarm on errors: more than none in a minute."""
        simple = {
            "MetricName": "Invocation4XXErrors",
            "Namespace": "AWS/SageMaker",
            "Dimensions": ENDPOINT,
            "Statistic": "Sum",
            "Period": 60,
        }
        if "Metrics" in given:
            simple = {}
        if "ExtendedStatistic" in given:
            del simple["Statistic"]
        self.client.put_metric_alarm(
            **{
                "AlarmName": "errors",
                "AlarmDescription": "somebody got an error",
                **simple,
                "EvaluationPeriods": 1,
                "Threshold": 0,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [self.topic],
                "OKActions": [self.topic],
                **given,
            }
        )

    def state(self) -> str:
        """The alarm's state, once it has been looked at."""
        running.look()
        return str(self.described()["StateValue"])

    def described(self) -> dict[str, Any]:
        """The alarm as DescribeAlarms shows it."""
        (found,) = self.client.describe_alarms()["MetricAlarms"]
        return dict(found)

    def messages(self) -> list[dict[str, Any]]:
        """What has come to the topic since the last call, the oldest change first; they may overtake."""
        assert events.wait_idle(FOREVER)
        found: list[dict[str, Any]] = []
        client = self.sandbox.client("sqs")
        while got := client.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for each in got:
                client.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
                found.append(json.loads(each["Body"]))
        return sorted(found, key=lambda one: str(json.loads(one["Message"])["StateChangeTime"]))

    def history(self, kind: str) -> list[str]:
        """The summaries of the alarm's history, the newest first."""
        listed = self.client.describe_alarm_history(AlarmName="errors", HistoryItemType=kind)
        return [each["HistorySummary"] for each in listed["AlarmHistoryItems"]]


def _statement(service: str, action: str, resource: str, condition: Any = None) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
    }
    return statement | ({"Condition": condition} if condition else {})


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def world(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    clock = Clock()
    monkeypatch.setattr(running, "now", clock)
    yield World(sandbox, clock)
    sandbox.part(running.Watch).stop()  # before the clock is the real one again


def test_an_alarm_fires_when_its_data_arrive_and_ends_when_they_are_old(world: World) -> None:
    world.alarm()
    assert world.state() == "OK"
    (told,) = world.messages()
    assert json.loads(told["Message"])["OldStateValue"] == "INSUFFICIENT_DATA"
    world.put(1, 1)
    assert world.state() == "ALARM"
    # One datapoint that is newest stays so for the two periods more that are looked at.
    world.clock.later(179)
    assert world.state() == "ALARM"
    world.clock.later(2)
    assert world.state() == "OK"
    assert [one["Subject"].split(":")[0] for one in world.messages()] == ["ALARM", "OK"]
    assert world.history("StateUpdate") == [
        "Alarm updated from ALARM to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from INSUFFICIENT_DATA to OK",
    ]
    assert world.history("Action") == [f"Successfully executed action {world.topic}"] * 3


def test_the_message_has_the_documented_form(world: World) -> None:
    world.alarm()
    world.state()
    world.messages()
    world.put(2)
    world.state()
    (told,) = world.messages()
    assert told["Subject"] == 'ALARM: "errors" in Canada (Central)'
    message = json.loads(told["Message"])
    assert message.pop("AlarmConfigurationUpdatedTimestamp")
    assert message == {
        "AlarmName": "errors",
        "AlarmDescription": "somebody got an error",
        "AWSAccountId": ACCOUNT,
        "NewStateValue": "ALARM",
        "NewStateReason": "Threshold Crossed: 1 out of the last 1 datapoints [2.0 (24/11/26 12:00:00)] was "
        "greater than the threshold (0.0) (minimum 1 datapoint for OK -> ALARM transition).",
        "StateChangeTime": "2026-11-24T12:00:00.000+0000",
        "Region": "Canada (Central)",
        "AlarmArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:errors",
        "OldStateValue": "OK",
        "OKActions": [world.topic],
        "AlarmActions": [world.topic],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "Invocation4XXErrors",
            "Namespace": "AWS/SageMaker",
            "StatisticType": "Statistic",
            "Statistic": "SUM",
            "Unit": None,
            "Dimensions": [
                {"value": "e", "name": "EndpointName"},
                {"value": "AllTraffic", "name": "VariantName"},
            ],
            "Period": 60,
            "EvaluationPeriods": 1,
            "DatapointsToAlarm": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0.0,
            "TreatMissingData": "notBreaching",
            "EvaluateLowSampleCountPercentile": "",
        },
    }


def test_data_wake_the_alarms_without_a_look_by_hand(world: World) -> None:
    world.alarm()
    world.state()
    world.put(1)
    wait_for(lambda: world.described()["StateValue"] == "ALARM")


def test_m_of_n_datapoints_make_an_alarm(world: World) -> None:
    world.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    states = []
    for errors in (1, 0, 1, 0, 0):
        world.put(errors)
        states.append(world.state())
        world.clock.later(60)
    assert states == ["OK", "OK", "ALARM", "OK", "OK"]


def test_a_datapoint_stays_in_its_period_as_time_goes_on(world: World) -> None:
    """Zero, then one, in one minute: the least of that minute is zero, now and later."""
    world.alarm(Statistic="Minimum", ComparisonOperator="LessThanThreshold", Threshold=1)
    world.clock.later(30)
    world.put(1)
    assert world.state() == "OK"
    world.clock.later(20)
    world.put(0)
    states = []
    for _ in range(12):
        states.append(world.state())
        world.clock.later(10)
    assert set(states) == {"ALARM"}
    world.put(1)
    assert world.state() == "OK"


def test_a_percentile_is_of_single_requests(world: World) -> None:
    world.alarm(MetricName="ModelLatency", ExtendedStatistic="p95", Threshold=2_000_000)
    world.put(*[100_000.0] * 19, 9_000_000.0, metric="ModelLatency")
    assert world.state() == "OK"  # one in twenty is above
    world.put(9_000_000.0, metric="ModelLatency")
    assert world.state() == "ALARM"
    described = world.described()
    assert (described["ExtendedStatistic"], described["StateReason"].count("9000000.0")) == ("p95", 1)


def _percent(expression: str = "100 * FILL(errors, 0) / requests") -> list[dict[str, Any]]:
    return [
        {"Id": "percent", "Expression": expression, "Label": "errors", "ReturnData": True},
        *(
            {
                "Id": id_,
                "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": "AWS/SageMaker", "MetricName": name, "Dimensions": ENDPOINT},
                    "Period": 60,
                    "Stat": "Sum",
                },
            }
            for id_, name in (("errors", "Invocation4XXErrors"), ("requests", "Invocations"))
        ),
    ]


def test_metric_math_makes_an_alarm_of_a_share(world: World) -> None:
    world.alarm(Metrics=_percent(), Threshold=10)
    world.put(1, metric="Invocations", Counts=[20])
    assert world.state() == "OK"
    world.put(1, 1)
    assert world.state() == "OK"  # 2 of 20 are not more than 10 percent
    world.put(1)
    assert world.state() == "ALARM"
    last = [json.loads(one["Message"]) for one in world.messages()][-1]
    assert last["Trigger"]["Metrics"][0] == {
        "Id": "percent",
        "Expression": "100 * FILL(errors, 0) / requests",
        "Label": "errors",
        "ReturnData": True,
    }


def test_other_dimensions_and_other_units_do_not_count(world: World) -> None:
    world.alarm(Unit="Count")
    world.put(5, Dimensions=ENDPOINT[:1], Unit="Count")
    world.put(5, Unit="Seconds")
    assert world.state() == "OK"
    world.put(5, Unit="Count")
    assert world.state() == "ALARM"


def test_missing_data_that_are_missing_are_insufficient(world: World) -> None:
    world.alarm(TreatMissingData="missing", InsufficientDataActions=[world.topic])
    assert world.state() == "INSUFFICIENT_DATA"
    world.put(0)
    assert world.state() == "OK"
    world.clock.later(600)
    assert world.state() == "INSUFFICIENT_DATA"
    assert [json.loads(one["Message"])["NewStateValue"] for one in world.messages()] == [
        "OK",
        "INSUFFICIENT_DATA",
    ]


def test_a_change_of_state_is_an_event(world: World) -> None:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"
    queue = world.sandbox.client("sqs").create_queue(QueueName="events")["QueueUrl"]
    policy = _document(_statement("events.amazonaws.com", "sqs:SendMessage", arn))
    world.sandbox.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    pattern = {"source": ["aws.cloudwatch"], "detail": {"state": {"value": ["ALARM"]}}}
    bus = world.sandbox.client("events")
    bus.put_rule(Name="alarms", EventPattern=json.dumps(pattern))
    bus.put_targets(Rule="alarms", Targets=[{"Id": "1", "Arn": arn}])
    world.alarm()
    world.state()
    world.put(3)
    world.state()
    assert events.wait_idle(FOREVER)
    (message,) = world.sandbox.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    event = json.loads(message["Body"])
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["resources"] == [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:errors"]
    detail = event["detail"]
    assert (detail["alarmName"], detail["state"]["value"]) == ("errors", "ALARM")
    assert detail["previousState"]["value"] == "OK"
    assert json.loads(detail["state"]["reasonData"])["recentDatapoints"] == [3.0]
    (metric,) = detail["configuration"]["metrics"]
    assert metric["metricStat"] == {
        "metric": {
            "dimensions": {"EndpointName": "e", "VariantName": "AllTraffic"},
            "name": "Invocation4XXErrors",
            "namespace": "AWS/SageMaker",
        },
        "period": 60,
        "stat": "Sum",
    }


@pytest.mark.parametrize(
    ("service", "account"),
    [("events.amazonaws.com", ACCOUNT), ("cloudwatch.amazonaws.com", "222222222222")],
)
def test_a_topic_that_does_not_let_cloudwatch_in_gets_nothing(
    world: World, service: str, account: str
) -> None:
    world.let_in(service, {"StringEquals": {"aws:SourceAccount": account}})
    world.alarm()
    assert world.state() == "OK"
    assert world.messages() == []
    assert world.history("Action") == [f"Failed to execute action {world.topic}"]


def test_an_encrypted_topic_takes_the_keys_policy_too(world: World) -> None:
    kms = world.sandbox.client("kms")
    owner = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    key = kms.create_key(Policy=_document(owner))["KeyMetadata"]["KeyId"]
    world.sandbox.client("sns").set_topic_attributes(
        TopicArn=world.topic, AttributeName="KmsMasterKeyId", AttributeValue=key
    )
    world.alarm()
    world.state()
    assert world.messages() == [] and "Failed" in world.history("Action")[0]
    admitted = _statement("cloudwatch.amazonaws.com", "kms:*", "*")
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=_document(owner, admitted))
    world.put(1)
    world.state()
    assert len(world.messages()) == 1


def test_actions_that_are_switched_off_tell_nobody(world: World) -> None:
    world.alarm(ActionsEnabled=False)
    world.put(1)
    assert world.state() == "ALARM"
    assert world.messages() == []


def test_a_state_that_is_set_tells_and_lasts_until_the_next_look(world: World) -> None:
    world.alarm()
    world.state()
    world.messages()
    world.sandbox.part(running.Watch).stop()  # nobody looks but this test
    world.client.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a rehearsal")
    assert world.described()["StateValue"] == "ALARM"
    (told,) = world.messages()
    assert json.loads(told["Message"])["NewStateReason"] == "a rehearsal"
    assert world.state() == "OK"


def test_an_alarm_that_is_changed_keeps_its_state(world: World) -> None:
    world.alarm()
    world.put(1)
    assert world.state() == "ALARM"
    world.messages()
    world.alarm(AlarmDescription="other words")
    assert world.state() == "ALARM" and world.messages() == []
    assert world.history("ConfigurationUpdate") == ['Alarm "errors" updated', 'Alarm "errors" created']


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ExtendedStatistic": "tm90"}, "tm90"),
        ({"Period": 45}, "period of 10, 20, 30 or a multiple of 60 seconds, got 45"),
        ({"DatapointsToAlarm": 2}, r"DatapointsToAlarm: expected 1 to EvaluationPeriods \(1\), got 2"),
        ({"TreatMissingData": "zero"}, "TreatMissingData: expected one of breaching"),
        ({"AlarmActions": ["arn:aws:automate:ca-central-1:ec2:stop"]}, "alarms act on SNS topics"),
        ({"Metrics": _percent("RATE(errors)")}, "percent: 'RATE"),
        ({"Metrics": _percent("errors / others")}, "there is no others"),
        ({"Metrics": _percent()[1:]}, "exactly one with ReturnData true, got none"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_when_it_is_made(
    world: World, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError, match=words):
        world.alarm(**given)
    assert world.client.describe_alarms()["MetricAlarms"] == []
    world.alarm()
    with pytest.raises(ClientError, match=words):
        world.alarm(**given)
    assert world.described()["Period"] == 60


def test_state_and_history_survive_the_sandbox(
    tmp_path: Path, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(running, "now", clock)
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        world = World(sandbox, clock)
        world.alarm()
        world.put(1)
        assert world.state() == "ALARM"
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        client = sandbox.client("cloudwatch")
        assert client.describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
        assert client.describe_alarm_history()["AlarmHistoryItems"]
