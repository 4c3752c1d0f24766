"""What gives rise to events by itself (objects, messages, topics), and what a target receives of one."""

import json

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.events.targets import InputError, target_input
from mlops_workbench.sandbox.services.lambda_ import calls
from tests.sandbox.services.events.support import (
    ACCOUNT,
    REGION,
    Queue,
    make_function,
    make_role,
    make_rule,
    policy,
)
from tests.waiting import FOREVER, wait_for


@pytest.fixture
def told(sandbox, bucket):
    """A queue that gets the events of the bucket."""
    setting = {"EventBridgeConfiguration": {}}
    bucket.client.put_bucket_notification_configuration(Bucket=bucket.name, NotificationConfiguration=setting)
    queue = Queue.make(sandbox)
    make_rule(sandbox, {"source": ["aws.s3"]}, {"Arn": queue.arn})
    return queue


def test_a_bucket_returns_its_eventbridge_setting(bucket, told):
    answer = bucket.client.get_bucket_notification_configuration(Bucket=bucket.name)
    assert answer["EventBridgeConfiguration"] == {}


def test_a_bucket_without_the_setting_tells_nothing(sandbox, bucket):
    make_rule(sandbox, {"source": ["aws.s3"]}, {"Arn": Queue.make(sandbox).arn})
    bucket.put("a", "text")
    assert "EventBridgeConfiguration" not in bucket.client.get_bucket_notification_configuration(
        Bucket=bucket.name
    )
    assert events.wait_idle(FOREVER)
    assert events.history() == []


def test_a_new_object_is_told_in_its_whole_form(bucket, told):
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    put = bucket.client.put_object(Bucket=bucket.name, Key="a b/ü.txt", Body=b"text")
    (event,) = told.bodies()
    assert (event["detail-type"], event["resources"]) == ("Object Created", [f"arn:aws:s3:::{bucket.name}"])
    detail = event["detail"]
    assert detail["bucket"] == {"name": bucket.name}
    assert detail["object"].pop("sequencer")
    assert detail["object"] == {
        "key": "a b/ü.txt", "size": 4, "etag": put["ETag"].strip('"'), "version-id": put["VersionId"],
    }  # fmt: skip
    assert (detail["version"], detail["requester"], detail["reason"]) == ("0", ACCOUNT, "PutObject")
    assert len(detail["request-id"]) == 16


def test_copies_and_multipart_uploads_are_told_once_each(bucket, told):
    s3, name = bucket.client, bucket.name
    bucket.put("a", "text")
    s3.copy_object(Bucket=name, Key="b", CopySource={"Bucket": name, "Key": "a"})
    upload = s3.create_multipart_upload(Bucket=name, Key="c")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="c", UploadId=upload, PartNumber=1, Body=b"text")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=name, Key="c", UploadId=upload, MultipartUpload=parts)
    found = sorted(
        (event["detail"]["object"]["sequencer"], event["detail"]["object"]["key"], event["detail"]["reason"])
        for event in told.bodies()
    )
    assert [entry[1:] for entry in found] == [
        ("a", "PutObject"), ("b", "CopyObject"), ("c", "CompleteMultipartUpload"),
    ]  # fmt: skip


def test_the_object_has_its_metadata_when_it_is_told(sandbox, bucket, told, monkeypatch):
    seen = []
    real = sandbox.emit

    def look(*arguments, **more):
        seen.append(bucket.client.head_object(Bucket=bucket.name, Key="a")["Metadata"])
        return real(*arguments, **more)

    monkeypatch.setattr(sandbox, "emit", look)
    bucket.client.put_object(Bucket=bucket.name, Key="a", Body=b"", Metadata={"commit": "abc"})
    assert seen == [{"commit": "abc"}]


def test_deletions_are_told_with_their_kind(bucket, told):
    s3, name = bucket.client, bucket.name
    bucket.put("plain")
    s3.delete_object(Bucket=name, Key="plain")
    s3.delete_object(Bucket=name, Key="none")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=name, Key="versioned")["VersionId"]
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "versioned"}]})
    s3.delete_object(Bucket=name, Key="versioned", VersionId=version)
    deleted = [event["detail"] for event in told.bodies() if event["detail-type"] == "Object Deleted"]
    assert sorted((d["object"]["key"], d["deletion-type"]) for d in deleted) == [
        ("plain", "Permanently Deleted"),
        ("versioned", "Delete Marker Created"),
        ("versioned", "Permanently Deleted"),
    ]


READER = """
import json, boto3
def handler(event, context):
    bodies = [json.loads(record["body"]) for record in event["Records"]]
    print("batch", json.dumps(sorted(bodies)), event["Records"][0]["attributes"]["ApproximateReceiveCount"])
    if "raise" in bodies:
        raise RuntimeError("no")
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]
                                  if record["body"] == '"bad"']}
"""


@pytest.fixture
def reader(sandbox):
    """A queue with a dead-letter queue, read by a function whose lines are returned."""
    dead = Queue.make(sandbox, "dead")
    redrive = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
    queue = Queue.make(sandbox, "work", VisibilityTimeout="1", RedrivePolicy=redrive)
    allowed = ("sqs:*", "logs:*")
    arn = make_function(sandbox, READER, Role=make_role(sandbox, "reader", "lambda.amazonaws.com", *allowed))
    sandbox.client("lambda").create_event_source_mapping(
        EventSourceArn=queue.arn, FunctionName=arn, BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )  # fmt: skip

    def lines():
        logs = sandbox.client("logs")
        if not logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/worker")["logGroups"]:
            return []
        found = logs.filter_log_events(logGroupName="/aws/lambda/worker")["events"]
        return [entry["message"] for entry in found if entry["message"].startswith("batch")]

    return queue, dead, lines


def left(queue):
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in found.values())


def test_a_function_reads_a_queue_in_a_batch_and_its_messages_are_deleted(reader):
    queue, dead, lines = reader
    entries = [{"Id": str(n), "MessageBody": json.dumps(str(n))} for n in range(3)]
    queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert wait_for(lines) == ['batch ["0", "1", "2"] 1']
    assert wait_for(lambda: left(queue) == 0)
    assert left(dead) == 0


def test_only_the_reported_messages_come_again_and_end_in_the_dead_letter_queue(reader):
    queue, dead, lines = reader
    entries = [{"Id": body, "MessageBody": json.dumps(body)} for body in ("good", "bad")]
    queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    (message,) = dead.receive()
    assert json.loads(message["Body"]) == "bad"
    assert lines() == ['batch ["bad", "good"] 1', 'batch ["bad"] 2']
    assert left(queue) == 0


def test_an_error_brings_the_whole_batch_again(reader):
    queue, dead, lines = reader
    entries = [{"Id": body, "MessageBody": json.dumps(body)} for body in ("good", "raise")]
    queue.client.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert wait_for(lambda: left(dead) == 2)
    assert lines()[0] == 'batch ["good", "raise"] 1'
    assert any(entry.outcome == "failed: no" for entry in events.history())


def test_a_queue_is_read_on_after_the_sandbox_was_opened_again(tmp_path, images):
    folder = tmp_path / "again"
    with Sandbox(folder, images, accounts=(ACCOUNT,), region=REGION) as first:
        queue = Queue.make(first)
        arn = make_function(first, READER)
        first.client("lambda").create_event_source_mapping(EventSourceArn=queue.arn, FunctionName=arn)
    with Sandbox(folder, images, accounts=(ACCOUNT,), region=REGION) as second:
        queue = Queue(second.client("sqs"), queue.url, queue.arn)
        url = queue.client.get_queue_url(QueueName="queue")["QueueUrl"]
        queue.client.send_message(QueueUrl=url, MessageBody='"x"')
        assert wait_for(lambda: [e.outcome for e in events.history()]) == ["delivered"]


def test_an_asynchronous_call_is_tried_three_times_and_then_buried(sandbox, monkeypatch):
    monkeypatch.setattr(calls, "retry_delays", (0.01, 0.01))
    dead = Queue.make(sandbox, "dead")
    role = make_role(sandbox, "r", "lambda.amazonaws.com", "sqs:*", "logs:*")
    arn = make_function(
        sandbox, "def handler(e, c): raise ValueError('broken')", Role=role,
        DeadLetterConfig={"TargetArn": dead.arn},
    )  # fmt: skip
    answer = sandbox.client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=b'{"n": 1}')
    assert answer["StatusCode"] == 202
    assert events.wait_idle(FOREVER)
    (message,) = dead.receive()
    assert json.loads(message["Body"]) == {"n": 1}
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "broken"
    found = sandbox.client("logs").filter_log_events(logGroupName="/aws/lambda/worker")["events"]
    assert (
        sum("ValueError: broken" in entry["message"] for entry in found if "[ERROR]" in entry["message"]) == 3
    )


def test_a_function_acts_as_its_role_and_logs_where_it_is_told(sandbox):
    code = "import boto3\ndef handler(e, c):\n    return boto3.client('sts').get_caller_identity()['Arn']"
    arn = make_function(sandbox, code, LoggingConfig={"LogGroup": "/mine"})
    answer = sandbox.client("lambda").invoke(FunctionName=arn)
    assert json.loads(answer["Payload"].read()) == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker-role/worker"
    streams = sandbox.client("logs").describe_log_streams(logGroupName="/mine")["logStreams"]
    assert len(streams) == 1
    described = sandbox.client("lambda").get_function_configuration(FunctionName=arn)["LoggingConfig"]
    assert described == {"LogFormat": "Text", "LogGroup": "/mine"}


def test_a_topic_reaches_queues_functions_and_mail_boxes(sandbox, bucket):
    sns, queue = sandbox.client("sns"), Queue.make(sandbox)
    topic = sns.create_topic(Name="notifications")["TopicArn"]
    code = (
        "import boto3\ndef handler(event, context):\n    record = event['Records'][0]['Sns']\n"
        f"    boto3.client('s3').put_object(Bucket='{bucket.name}', Key='sns', Body=record['Message'])\n"
    )
    function = make_function(sandbox, code)
    sandbox.client("lambda").add_permission(
        FunctionName=function, StatementId="topic", Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com", SourceArn=topic,
    )  # fmt: skip
    for protocol, endpoint in (("sqs", queue.arn), ("lambda", function), ("email", "someone@example.org")):
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    sns.publish(TopicArn=topic, Subject="Approve", Message="please")
    (body,) = queue.bodies()
    assert (body["Subject"], body["Message"], body["TopicArn"]) == ("Approve", "please", topic)
    assert bucket.get("sns") == b"please"
    (mail,) = events.mails()
    assert (mail.to, mail.subject, mail.body) == ("someone@example.org", "Approve", "please")


def test_a_queue_that_does_not_admit_the_topic_gets_nothing(sandbox):
    sns = sandbox.client("sns")
    topic = sns.create_topic(Name="notifications")["TopicArn"]
    queue = Queue.make(
        sandbox, Policy=json.dumps(policy("sns.amazonaws.com", "sqs:SendMessage", topic + "-2"))
    )
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=topic, Message="please")
    assert queue.there() == []


def test_raw_delivery_is_off_when_it_says_false(sandbox):
    sns = sandbox.client("sns")
    topic = sns.create_topic(Name="notifications")["TopicArn"]
    queues = {wanted: Queue.make(sandbox, wanted) for wanted in ("false", "true")}
    for wanted, queue in queues.items():
        arn = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)["SubscriptionArn"]
        sns.set_subscription_attributes(
            SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue=wanted
        )
    sns.publish(TopicArn=topic, Message='"raw"')
    assert queues["true"].bodies() == ["raw"]
    assert queues["false"].bodies()[0]["Message"] == '"raw"'


def test_a_queue_keeps_the_attributes_that_a_change_does_not_name(sandbox):
    queue = Queue.make(sandbox)
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue.arn}
    allow = '{"redrivePermission":"denyAll"}'

    def change(**attributes):
        queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes=attributes)
        return queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"]

    change(Policy=json.dumps({"Statement": [statement]}))
    found = change(RedriveAllowPolicy=json.dumps(json.loads(allow)))
    assert found["RedriveAllowPolicy"] == allow
    assert json.loads(found["Policy"])["Statement"] == [statement]
    found = change(RedriveAllowPolicy="", Policy="")
    assert "RedriveAllowPolicy" not in found and "Policy" not in found


RULE = "arn:aws:events:ca-central-1:111111111111:rule/new-objects"
EVENT = {
    "id": "1",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "time": "2026-01-02T03:04:05Z",
    "resources": ["arn:aws:s3:::b"],
    "detail": {"object": {"key": 'a "b".csv', "size": 3}, "list": [{"n": 1}, {"n": 2}], "ok": True},
}


def made(template, **paths):
    return target_input(
        {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}, EVENT, RULE
    )


def test_a_target_without_input_gets_the_event():
    assert json.loads(target_input({}, EVENT, RULE)) == EVENT


def test_a_constant_input_is_passed_as_it_is():
    assert target_input({"Input": '{"a": 1}'}, EVENT, RULE) == '{"a": 1}'


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("$.detail.object.size", 3),
        ("$.detail-type", "Object Created"),
        ("$.resources[0]", "arn:aws:s3:::b"),
        ("$['detail']['ok']", True),
        ("$.detail.list[*].n", [1, 2]),
        ("$.detail.none", None),
    ],
)
def test_an_input_path_gives_a_part_of_the_event(path, part):
    assert json.loads(target_input({"InputPath": path}, EVENT, RULE)) == part


@pytest.mark.parametrize("path", ["detail.object", "$.detail[?(@.n)]", "$..key"])
def test_a_path_that_eventbridge_does_not_take_is_refused(path):
    with pytest.raises(InputError, match="JSONPath"):
        target_input({"InputPath": path}, EVENT, RULE)


def test_a_variable_outside_quotes_becomes_json_and_within_them_text():
    text = made(
        '{"key": <key>, "size": <size>, "all": <object>, "text": "<key> has <size> bytes"}',
        key="$.detail.object.key",
        size="$.detail.object.size",
        object="$.detail.object",
    )
    assert json.loads(text) == {
        "key": 'a "b".csv',
        "size": 3,
        "all": EVENT["detail"]["object"],
        "text": 'a "b".csv has 3 bytes',
    }


def test_an_escaped_quotation_mark_does_not_end_a_text():
    assert json.loads(made(r'{"a": "\"<source>\" <source>"}', source="$.source")) == {"a": '"aws.s3" aws.s3'}


def test_an_object_within_a_text_loses_its_quotation_marks():
    assert json.loads(made('{"a": "<first>"}', first="$.detail.list[0]")) == {"a": "{n:1}"}


def test_a_path_that_is_not_there_gives_an_empty_text():
    assert json.loads(made('{"a": <x>, "b": "[<x>]"}', x="$.detail.x")) == {"a": "", "b": "[]"}


def test_the_rule_and_the_event_have_variables_of_their_own():
    text = made(
        '{"rule": "<aws.events.rule-name>", "arn": <aws.events.rule-arn>, "e": <aws.events.event.json>}'
    )
    assert json.loads(text) == {"rule": "new-objects", "arn": RULE, "e": EVENT}
    without_detail = json.loads(made('{"e": <aws.events.event>}'))["e"]
    assert without_detail == {key: value for key, value in EVENT.items() if key != "detail"}


def test_several_quoted_lines_are_a_text():
    assert made('"from <s>"\n"again <s>"', s="$.source") == '"from aws.s3"\n"again aws.s3"'


def test_a_template_that_gives_no_json_is_refused():
    with pytest.raises(InputError, match=r"gives no JSON: it is aws\.s3"):
        made("it is <s>".replace("<s>", "aws.s3"), s="$.source")
