"""From an event to its targets, over HTTP, with the policies that AWS would ask."""

import json

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.events.bus import fire
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

MINE = {"source": ["mine"]}


def put(sandbox, detail=None, **more):
    entry = {"Source": "mine", "DetailType": "Something", "Detail": json.dumps(detail or {}), **more}
    answer = sandbox.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 0
    return answer["Entries"][0]["EventId"]


def outcomes(rule=None):
    assert events.wait_idle(FOREVER)
    return [entry.outcome for entry in events.history() if rule is None or entry.rule == rule]


def test_an_event_reaches_a_queue_in_its_whole_form(sandbox):
    queue = Queue.make(sandbox)
    make_rule(sandbox, MINE, {"Arn": queue.arn})
    id_ = put(sandbox, {"n": 1}, Resources=["arn:x"])
    (event,) = queue.bodies()
    assert event.pop("time").endswith("Z")
    assert event == {
        "version": "0", "id": id_, "detail-type": "Something", "source": "mine", "account": ACCOUNT,
        "region": REGION, "resources": ["arn:x"], "detail": {"n": 1},
    }  # fmt: skip


def test_a_disabled_rule_and_one_that_does_not_match_deliver_nothing(sandbox):
    queue = Queue.make(sandbox)
    make_rule(sandbox, MINE, {"Arn": queue.arn})
    make_rule(sandbox, {"source": ["other"]}, {"Arn": queue.arn}, name="other")
    sandbox.client("events").disable_rule(Name="rule")
    put(sandbox)
    assert queue.bodies() == []
    assert outcomes() == ["no rule"]


@pytest.mark.parametrize(
    ("filters", "value", "matches"),
    [
        ([{"prefix": "input/"}], "input/a", True),
        ([{"prefix": "input/"}], "output/a", False),
        ([{"suffix": ".zip"}], "a.zip", True),
        ([{"anything-but": ["a", "b"]}], "b", False),
        ([{"anything-but": ["a", "b"]}], "c", True),
        ([{"anything-but": {"prefix": "tmp/"}}], "tmp/x", False),
        ([{"wildcard": "drop/*/data.csv"}], "drop/1/data.csv", True),
        ([{"wildcard": "drop/*/data.csv"}], "drop/data.csv", False),
        ([{"exists": True}], "a", True),
        ([{"exists": False}], "a", False),
        ([{"equals-ignore-case": "ABC"}], "abc", True),
        ([{"numeric": [">", 0, "<=", 5]}], 5, True),
        ([{"numeric": [">", 0, "<=", 5]}], 6, False),
        (["a", {"prefix": "b"}], "bc", True),
        ([{"exists": True}], {"an": "object"}, False),
        ([{"prefix": {"equals-ignore-case": "INPUT/"}}], "input/a", True),
        ([{"suffix": {"equals-ignore-case": ".CSV"}}], "a.csv", True),
        ([{"suffix": {"equals-ignore-case": ".CSV"}}], "a.csv.gz", False),
        ([{"anything-but": {"prefix": ["output/", "work/"]}}], "work/x", False),
        ([{"anything-but": {"prefix": ["output/", "work/"]}}], "input/x", True),
        ([{"anything-but": {"suffix": [".tmp", ".part"]}}], "a.part", False),
        ([{"anything-but": {"suffix": [".tmp", ".part"]}}], "a.csv", True),
        ([{"anything-but": {"wildcard": ["*/_*", "*.keep"]}}], "input/_SUCCESS", False),
        ([{"anything-but": {"wildcard": ["*/_*", "*.keep"]}}], "input/a", True),
        ([{"anything-but": {"equals-ignore-case": ["A", "b"]}}], "B", False),
        ([{"anything-but": 5}], 5, False),
        ([{"anything-but": [5, 6]}], 7, True),
        ([{"wildcard": "input/*.csv"}], "input/a\nb c/ü.csv", True),
        ([{"wildcard": r"input/\*.csv"}], "input/*.csv", True),
        ([{"wildcard": r"input/\*.csv"}], "input/a.csv", False),
        ([{"wildcard": r"a\\*"}], "a\\b", True),
        ([{"wildcard": "*.csv"}], "a.csv.gz", False),
        ([{"numeric": ["=", 0]}], 0, True),
        ([{"numeric": [">", 0]}], 0, False),
        ([{"numeric": [">", 0]}], "1", False),
    ],
)
def test_a_pattern_compares_as_eventbridge_does(sandbox, filters, value, matches):
    make_rule(sandbox, {**MINE, "detail": {"key": filters}}, {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:none"})
    put(sandbox, {"key": value})
    assert (outcomes() != ["no rule"]) is matches


def test_a_pattern_looks_into_lists_of_objects(sandbox):
    make_rule(sandbox, {"detail": {"list": {"n": [2]}}}, {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:none"})
    put(sandbox, {"list": [{"n": 1}]})
    assert outcomes() == ["no rule"]
    put(sandbox, {"list": [{"n": 1}, {"n": 2}]})
    assert outcomes()[-1].startswith("failed")


@pytest.mark.parametrize(
    "detail",
    [
        {"a": [{"prefx": "x"}]},
        {"a": "x"},
        {"a": []},
        {"a": [{"wildcard": "**"}]},
        {"a": [{"prefix": ["x", "y"]}]},
        {"a": [{"suffix": 1}]},
        {"a": [{"prefix": {"wildcard": "x"}}]},
        {"a": [{"anything-but": {"numeric": [">", 1]}}]},
        {"a": [{"anything-but": {"prefix": []}}]},
        {"a": [{"anything-but": {"wildcard": ["a**"]}}]},
        {"a": [{"anything-but": ["a", 1]}]},
        {"a": [{"anything-but": [{"prefix": "a"}]}]},
        {"a": [{"numeric": [">"]}]},
        {"a": [{"numeric": ["!", 1]}]},
        {"a": [{"numeric": [">", "1"]}]},
        {"a": [{"numeric": [">", 1, "<", 2, "=", 1]}]},
    ],
)
def test_a_pattern_with_a_mistake_is_refused(sandbox, detail):
    with pytest.raises(ClientError, match="InvalidEventPattern"):
        make_rule(sandbox, {"detail": detail})


def test_what_a_queue_does_not_admit_goes_to_the_dead_letter_queue(sandbox):
    closed, dead = Queue.make(sandbox, "closed", Policy=""), Queue.make(sandbox, "dead")
    target = {"Arn": closed.arn, "DeadLetterConfig": {"Arn": dead.arn}, "Input": '{"constant": 1}'}
    rule = make_rule(sandbox, MINE, target)
    put(sandbox)
    assert outcomes(rule)[0].startswith("failed: NO_PERMISSIONS")
    (message,) = dead.receive()
    attributes = {name: entry["StringValue"] for name, entry in message["MessageAttributes"].items()}
    assert json.loads(message["Body"]) == {"constant": 1}
    assert attributes.pop("ERROR_MESSAGE")
    assert attributes == {"RULE_ARN": rule, "TARGET_ARN": closed.arn, "ERROR_CODE": "NO_PERMISSIONS"}


@pytest.mark.parametrize(
    ("condition", "kept_out"),
    [
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False),
        ({"NumericGreaterThan": {"aws:EpochTime": "0"}}, True),
        ({"ForAnyValue:StringEquals": {"aws:SourceAccount": [ACCOUNT, "222222222222"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:SourceAccount": "222222222222"}}, False),
        # IAM has no such operator: whom the statement would keep out is not known, so nobody gets in.
        ({"StringSimilar": {"aws:SourceAccount": "222222222222"}}, True),
    ],
)
def test_a_denial_under_a_condition_keeps_an_event_out(sandbox, condition, kept_out):
    queue = Queue.make(sandbox)
    read = queue.client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["Policy"])
    document = json.loads(read["Attributes"]["Policy"])
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    document["Statement"].append({**deny, "Condition": condition})
    queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": json.dumps(document)})
    rule = make_rule(sandbox, MINE, {"Arn": queue.arn})
    put(sandbox)
    if kept_out:
        (outcome,) = outcomes(rule)
        assert outcome.startswith("failed: NO_PERMISSIONS")
        assert "explicit deny" in outcome or "IAM has no operator 'StringSimilar'" in outcome
    else:
        assert outcomes(rule) == ["delivered"]
    assert len(queue.there()) == (not kept_out)


@pytest.mark.parametrize(
    ("pattern", "admits"),
    [
        (f"arn:aws:events:*:{ACCOUNT}:rule/*", True),
        ("arn:aws:events:*:*:rule/rule", True),
        # A wildcard of ArnLike does not reach over a colon: this is no ARN's pattern.
        ("arn:aws:events:*:rule/rule", False),
        ("arn:aws:*:rule/rule", False),
    ],
)
def test_a_wildcard_of_a_source_arn_stays_within_its_part(sandbox, pattern, admits):
    condition = {"ArnLike": {"aws:SourceArn": pattern}}
    statement = policy("events.amazonaws.com", "sqs:SendMessage")["Statement"][0] | {"Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queue = Queue.make(sandbox, Policy=document)
    rule = make_rule(sandbox, MINE, {"Arn": queue.arn})
    put(sandbox)
    (outcome,) = outcomes(rule)
    assert (outcome == "delivered") is admits
    assert len(queue.there()) == admits


def test_a_log_group_is_asked_by_all_policies_of_its_account(sandbox):
    logs = sandbox.client("logs")
    logs.create_log_group(logGroupName="/events")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/events"
    rule = make_rule(sandbox, MINE, {"Arn": group})

    def say(name, effect):
        statement = policy("events.amazonaws.com", "logs:PutLogEvents")["Statement"][0]
        statement |= {"Effect": effect, "Resource": f"{group}:*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        logs.put_resource_policy(policyName=name, policyDocument=document)

    def outcome():
        put(sandbox)
        return outcomes(rule)[-1]

    assert outcome().startswith("failed: NO_PERMISSIONS")
    say("allow", "Allow")
    assert outcome() == "delivered"
    say("deny", "Deny")
    assert "explicit deny" in outcome()
    assert len(logs.filter_log_events(logGroupName="/events")["events"]) == 1


def test_an_encrypted_queue_wants_its_key_to_admit_the_service(sandbox):
    kms = sandbox.client("kms")
    key = kms.create_key()["KeyMetadata"]
    queue = Queue.make(sandbox, KmsMasterKeyId=key["Arn"])
    rule = make_rule(sandbox, MINE, {"Arn": queue.arn})
    put(sandbox)
    assert "policy of key" in outcomes(rule)[0]
    document = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    document["Statement"].append(
        {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
            "Resource": "*",
        }
    )
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=json.dumps(document))
    put(sandbox)
    assert outcomes(rule)[1:] == ["delivered"]


def test_a_function_is_called_if_its_policy_admits_the_rule(sandbox, bucket):
    code = (
        "import boto3\ndef handler(event, context):\n    body = event['detail']['n']\n"
        f"    boto3.client('s3').put_object(Bucket='{bucket.name}', Key='called', Body=body)\n"
    )
    arn = make_function(sandbox, code)
    rule = make_rule(sandbox, MINE, {"Arn": arn})
    put(sandbox, {"n": "1"})
    assert outcomes(rule)[0].startswith("failed: NO_PERMISSIONS")
    sandbox.client("lambda").add_permission(
        FunctionName=arn, StatementId="rule", Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com", SourceArn=rule,
    )  # fmt: skip
    put(sandbox, {"n": "2"})
    assert outcomes(rule)[1:] == ["delivered"]
    assert bucket.get("called") == b"2"


def test_a_role_that_does_not_trust_eventbridge_starts_nothing(sandbox):
    role = make_role(sandbox, "wrong", "lambda.amazonaws.com", "codepipeline:StartPipelineExecution")
    target = {"Arn": f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:none", "RoleArn": role}
    rule = make_rule(sandbox, MINE, target)
    put(sandbox)
    assert outcomes(rule)[0].startswith("failed: NO_PERMISSIONS")


def test_an_event_starts_a_sagemaker_pipeline_with_parameters_out_of_it(sandbox):
    definition = {
        "Version": "2020-12-01",
        "Parameters": [{"Name": name, "Type": "String"} for name in ("Key", "Mode")],
        "Steps": [{"Name": "stop", "Type": "Fail", "Arguments": {"ErrorMessage": {"Get": "Parameters.Key"}}}],
    }
    sagemaker = sandbox.client("sagemaker")
    arn = sagemaker.create_pipeline(
        PipelineName="train", PipelineDefinition=json.dumps(definition), ClientRequestToken="0" * 32,
        RoleArn=make_role(sandbox, "train", "sagemaker.amazonaws.com"),
    )["PipelineArn"]  # fmt: skip
    role = make_role(sandbox, "start", "events.amazonaws.com", "sagemaker:StartPipelineExecution")
    parameters = [{"Name": "Key", "Value": "$.detail.key"}, {"Name": "Mode", "Value": "fast"}]
    target = {
        "Arn": arn,
        "RoleArn": role,
        "SageMakerPipelineParameters": {"PipelineParameterList": parameters},
    }
    rule = make_rule(sandbox, MINE, target)
    queue = Queue.make(sandbox)
    make_rule(sandbox, {"source": ["aws.sagemaker"]}, {"Arn": queue.arn}, name="status")
    put(sandbox, {"key": "a/b"})
    assert outcomes(rule) == ["delivered"]

    def ended():
        (run,) = sagemaker.list_pipeline_executions(PipelineName="train")["PipelineExecutionSummaries"]
        return run if run["PipelineExecutionStatus"] == "Failed" else None

    execution = wait_for(ended)["PipelineExecutionArn"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)
    assert {p["Name"]: p["Value"] for p in given["PipelineParameters"]} == {"Key": "a/b", "Mode": "fast"}

    told = queue.bodies()
    assert all(event["resources"] == [arn, execution] for event in told)
    runs = [e["detail"] for e in told if "currentPipelineExecutionStatus" in e["detail"]]
    assert {run["currentPipelineExecutionStatus"] for run in runs} == {"Executing", "Failed"}
    (failed,) = [run for run in runs if run["currentPipelineExecutionStatus"] == "Failed"]
    assert failed["previousPipelineExecutionStatus"] == "Executing"
    assert failed["executionEndTime"] >= failed["executionStartTime"]
    steps = [e["detail"] for e in told if "currentStepStatus" in e["detail"]]
    assert {(step["stepName"], step["stepType"]) for step in steps} == {("stop", "Fail")}
    assert "Failed" in {step["currentStepStatus"] for step in steps}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Object_Key", "x", r"PipelineParameterList\[0\]\.Name: expected the form"),
        ("Key", "x" * 1025, r"Value: expected at most 1024 characters, got 1025"),
    ],
)
def test_a_parameter_that_eventbridge_does_not_take_is_refused(sandbox, name, value, message):
    parameters = {"PipelineParameterList": [{"Name": name, "Value": value}]}
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/train"
    with pytest.raises(ClientError, match=message):
        make_rule(sandbox, MINE, {"Arn": arn, "SageMakerPipelineParameters": parameters})


def test_an_approval_is_an_event_with_the_whole_package(sandbox):
    sagemaker, queue = sandbox.client("sagemaker"), Queue.make(sandbox)
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": ["router"], "ModelApprovalStatus": ["Approved"]},
    }
    make_rule(sandbox, pattern, {"Arn": queue.arn})
    sagemaker.create_model_package_group(ModelPackageGroupName="router")
    container = {"Image": "i", "ModelDataUrl": "s3://b/m"}
    arn = sagemaker.create_model_package(
        ModelPackageGroupName="router", CustomerMetadataProperties={"commit": "abc"},
        InferenceSpecification={"Containers": [container], "SupportedContentTypes": ["text/csv"],
                                "SupportedResponseMIMETypes": ["text/csv"]},
    )["ModelPackageArn"]  # fmt: skip
    assert queue.bodies() == []
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    (event,) = queue.bodies()
    detail = event["detail"]
    assert event["resources"] == [arn]
    assert (detail["ModelPackageArn"], detail["ModelPackageVersion"]) == (arn, 1)
    assert (detail["ModelPackageStatus"], detail["CustomerMetadataProperties"]) == (
        "Completed",
        {"commit": "abc"},
    )
    assert detail["CreationTime"].endswith("Z")
    assert "router/1 Approved" in [entry.summary for entry in events.history()]


def test_an_event_goes_on_to_another_bus_once(sandbox):
    queue = Queue.make(sandbox)
    client = sandbox.client("events")
    bus = client.create_event_bus(Name="other")["EventBusArn"]
    role = make_role(sandbox, "bus", "events.amazonaws.com", "events:PutEvents")
    make_rule(sandbox, MINE, {"Arn": bus, "RoleArn": role})
    client.put_rule(Name="second", EventPattern=json.dumps(MINE), EventBusName="other")
    client.put_targets(Rule="second", EventBusName="other", Targets=[{"Id": "q", "Arn": queue.arn}])
    id_ = put(sandbox)
    assert wait_for(lambda: [e["id"] for e in queue.bodies()]) == [id_]


def test_events_of_one_account_stay_there(sandbox):
    queue = Queue.make(sandbox)
    make_rule(sandbox, MINE, {"Arn": queue.arn})
    entry = {"Source": "mine", "DetailType": "Something", "Detail": "{}"}
    sandbox.client("events", account="222222222222").put_events(Entries=[entry])
    assert queue.bodies() == []


def test_a_scheduled_rule_is_fired_by_hand(sandbox):
    queue, client = Queue.make(sandbox), sandbox.client("events")
    rule = client.put_rule(Name="daily", ScheduleExpression="rate(1 day)")["RuleArn"]
    client.put_targets(Rule="daily", Targets=[{"Id": "q", "Arn": queue.arn}])
    put(sandbox)
    assert queue.bodies() == []
    fire(rule)
    (event,) = queue.bodies()
    assert (event["source"], event["detail-type"], event["resources"]) == (
        "aws.events",
        "Scheduled Event",
        [rule],
    )
    with pytest.raises(ValueError, match="does not exist"):
        fire(rule + "-2")


def test_what_was_begun_ends_with_the_sandbox(tmp_path, images):
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        arn = make_function(sandbox, "import time\ndef handler(e, c): time.sleep(3600)")
        sandbox.client("lambda").invoke(FunctionName=arn, InvocationType="Event", Payload=b"{}")
        assert not events.wait_idle(0.5)
    assert sandbox.work.wait_idle(0)
