"""terraform/batch, applied by the deployment roles in two accounts, with files that are really answered.

Roles are enforced: what is made here, the foundation's deployment roles may make, and what the pipeline does,
its own roles may do. The tests are a story: each goes on where the one before it ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.events.calls import matches
from tests.batch_inference.terraform_batch import BEGIN, SETTINGS, SLUG, Environment, make_environment
from tests.terraform_delivery import REGION, SHARED
from tests.terraform_deployment import Registry, build_credentials, open_registry

pytestmark = pytest.mark.slow

STRANGE = "input/2026/Été, Umfrage Nr. 1 (中文).csv"
ENVIRONMENTS = ("staging", "production")


@pytest.fixture(scope="module")
def registry(
    generate: Callable[..., Path], container_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Two accounts with enforced roles, and a group with two approved versions."""
    with open_registry(generate, tmp_path_factory, Images.single(container_python)) as made:
        made.add({"version": "v1"})
        made.add({"version": "v2"})
        yield made


@pytest.fixture(scope="module")
def environments(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environment]:
    """Staging and production, applied; together, as most of the time the provider waits for S3 and SQS."""
    folder = tmp_path_factory.mktemp("builds")
    made = {name: make_environment(name, folder / name, registry) for name in ENVIRONMENTS}
    for environment in made.values():
        environment.record()
    with ThreadPoolExecutor() as threads:
        list(threads.map(Environment.apply, made.values()))
    return made


@pytest.fixture(scope="module")
def staging(environments: dict[str, Environment]) -> Environment:
    return environments["staging"]


@pytest.fixture(params=ENVIRONMENTS)
def environment(environments: dict[str, Environment], request: pytest.FixtureRequest) -> Environment:
    return environments[request.param]


def test_a_second_plan_is_empty(environment: Environment) -> None:
    environment.assert_nothing_to_do()


def test_the_outputs_name_what_people_look_for(environment: Environment) -> None:
    outputs = environment.outputs()
    assert outputs["bucket"] == environment.bucket
    assert outputs["pipeline"] == environment.pipeline
    assert outputs["undelivered_queue_url"].endswith(f"/{SLUG}-undelivered-{environment.name}")
    assert outputs["log_groups"] == {
        name: f"/aws/lambda/{SLUG}-{name}-{environment.name}" for name in ("begin", "publish")
    }


def test_a_file_is_answered_and_its_answer_is_no_file_to_answer(environment: Environment) -> None:
    s3, sagemaker = environment.client("s3"), environment.client("sagemaker")
    body = "comment\nça va\n".encode()
    version = environment.put(STRANGE, body)
    execution = environment.ended(1)["PipelineExecutionArn"]
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)
    assert {each["Name"]: each["Value"] for each in given["PipelineParameters"]} == {
        "Bucket": environment.bucket,
        "Key": STRANGE,
        "Version": version,
    }
    described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
    assert described["PipelineExecutionStatus"] == "Succeeded", described
    answer = s3.get_object(Bucket=environment.bucket, Key=STRANGE.replace("input/", "output/"))
    assert answer["Body"].read() == body
    key = environment.client("kms").describe_key(KeyId=ALIASES[environment.name])["KeyMetadata"]["Arn"]
    assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", key)
    assert sagemaker.list_models()["Models"] == []
    # what was written below output/ and work/ has been told to everybody, and nothing has begun
    assert len(environment.executions()) == 1
    assert environment.told() == []


ALIASES = {"staging": "alias/mlops", "production": "alias/mlops-production"}


def test_the_functions_write_their_logs_for_as_long_as_the_foundation_says(environment: Environment) -> None:
    assert "begun" in environment.begin(STRANGE)
    group = environment.outputs()["log_groups"]["begin"]
    (described,) = environment.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["retentionInDays"] == 90
    assert described["kmsKeyId"].startswith(f"arn:aws:kms:{REGION}:{environment.account}:key/")


def created(environment: Environment, key: str, size: int = 5, bucket: str = "") -> dict[str, Any]:
    """The documented event of an object that was written."""
    name = bucket or environment.bucket
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": environment.account,
        "time": "2021-11-12T00:00:00Z",
        "region": REGION,
        "resources": [f"arn:aws:s3:::{name}"],
        "detail": {
            "version": "0",
            "bucket": {"name": name},
            "object": {
                "key": key,
                "size": size,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": environment.account,
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
        },
    }


def lets_through(environment: Environment, event: dict[str, Any]) -> set[str]:
    """Which of the rules for files a pattern lets an event through."""
    client, found = environment.client("events"), set()
    for rule in ("input", "empty"):
        pattern = client.describe_rule(Name=f"{SLUG}-{rule}-{environment.name}")["EventPattern"]
        if matches(EventPattern.load(pattern), event):
            found.add(rule)
    return found


@pytest.mark.parametrize(
    ("key", "size", "rules"),
    [
        ("input/a.csv", 5, {"input"}),
        ("input/2026/07/a b.jsonl.gz", 5, {"input"}),
        (STRANGE, 5, {"input"}),
        ("input/a.xlsx", 5, {"input"}),  # refused by begin, so that somebody hears of it
        ("input/a.csv", 0, {"empty"}),
        ("input/2026/a.ndjson", 0, {"empty"}),
        ("input/A.CSV.GZ", 0, {"empty"}),
        ("input/2026/", 0, set()),  # a folder that somebody has made in the console
        ("input/", 0, set()),
        ("output/a.csv", 5, set()),
        ("output/a.csv", 0, set()),
        ("output/input/a.csv", 5, set()),
        ("work/0123/source/data.csv", 5, set()),
        ("work/0123/source/data.csv", 0, set()),
        ("Input/a.csv", 5, set()),
        ("a.csv", 5, set()),
    ],
)
def test_files_below_the_input_folder_start_the_pipeline_and_empty_ones_are_told(
    staging: Environment, key: str, size: int, rules: set[str]
) -> None:
    assert lets_through(staging, created(staging, key, size)) == rules
    assert lets_through(staging, created(staging, key, size, bucket="another")) == set()


def test_a_file_is_tried_for_a_day_and_then_kept(staging: Environment) -> None:
    (target,) = staging.client("events").list_targets_by_rule(Rule=f"{SLUG}-input-staging")["Targets"]
    assert target["Arn"] == staging.arn("sagemaker", f"pipeline/{staging.pipeline}")
    assert target["RoleArn"] == staging.role("events")
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    assert target["DeadLetterConfig"]["Arn"] == staging.arn("sqs", f"{SLUG}-undelivered-staging")
    names = {each["Name"] for each in target["SageMakerPipelineParameters"]["PipelineParameterList"]}
    assert names == {each["Name"] for each in staging.definition()["Parameters"]}


def test_people_are_told_of_an_empty_file(staging: Environment) -> None:
    staging.put("input/empty/", b"")
    staging.put('input/empty/an "empty" one.csv', b"")
    (told,) = staging.told()
    assert f's3://{staging.bucket}/input/empty/an "empty" one.csv is empty (0 bytes)' in told
    assert len(staging.executions()) == 1


def test_people_are_told_once_of_an_execution_that_failed_and_where_to_look(staging: Environment) -> None:
    staging.put("input/letters.docx")
    failed = staging.ended(2)
    assert failed["PipelineExecutionStatus"] == "Failed"
    _, told = staging.told()
    assert f"{staging.pipeline}: a file has no answers, its execution is Failed" in told
    arn = failed["PipelineExecutionArn"]
    for command in ("list-pipeline-parameters-for-execution", "list-pipeline-execution-steps"):
        assert f"aws sagemaker {command} --region {REGION} --pipeline-execution-arn {arn}" in told
    # what the commands of that sentence say
    sagemaker = staging.client("sagemaker")
    given = sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert "input/letters.docx" in json.dumps(given["PipelineParameters"])
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert "expected a CSV" in json.dumps([step.get("FailureReason") for step in steps])


def test_an_event_that_cannot_start_the_pipeline_waits_in_the_queue(staging: Environment) -> None:
    iam, role = staging.client("iam"), staging.role("events").rsplit("/", 1)[-1]
    before = iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName=role)
    try:
        staging.put("input/lost.csv")
        assert len(staging.executions()) == 2
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=json.dumps(before))
    sqs, url = staging.client("sqs"), staging.outputs()["undelivered_queue_url"]
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "input/lost.csv"
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def test_only_this_environments_rules_may_put_into_the_queue(staging: Environment) -> None:
    sqs, url = staging.client("sqs"), staging.outputs()["undelivered_queue_url"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["KmsMasterKeyId"].startswith(f"arn:aws:kms:{REGION}:{SHARED}:key/")
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    rules = {f"rule/{SLUG}-{rule}-staging" for rule in ("empty", "failed", "input")}
    admitted = set(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
    assert admitted == {staging.arn("events", rule) for rule in rules}
    existing = {rule["Arn"] for rule in staging.client("events").list_rules(NamePrefix=SLUG)["Rules"]}
    # what the schedule of the comparison calls, nobody waits for
    assert existing == admitted | {staging.arn("events", f"rule/{SLUG}-drift-staging")}


def test_alarms_watch_the_queue_and_the_functions(staging: Environment) -> None:
    described = staging.client("cloudwatch").describe_alarms()["MetricAlarms"]
    watched = {
        each["AlarmName"]: (each["Namespace"], each["MetricName"], each["Dimensions"][0]["Value"])
        for each in described
    }
    assert watched == {
        f"{SLUG}-undelivered-staging": (
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            f"{SLUG}-undelivered-staging",
        ),
        f"{SLUG}-begin-staging-errors": ("AWS/Lambda", "Errors", f"{SLUG}-begin-staging"),
        f"{SLUG}-publish-staging-errors": ("AWS/Lambda", "Errors", f"{SLUG}-publish-staging"),
        f"{SLUG}-drift-staging-errors": ("AWS/Lambda", "Errors", f"{SLUG}-drift-staging"),
        f"{SLUG}-staging-drift": ("MLOps/Watching", "Drift", f"{SLUG}-staging"),
    }
    topics = {topic for alarm in described for topic in alarm["AlarmActions"]}
    assert topics == {staging.arn("sns", "mlops-notifications-staging")}


def test_the_dashboard_draws_files_and_what_is_watched(staging: Environment) -> None:
    found = staging.client("cloudwatch").get_dashboard(DashboardName=f"{SLUG}-staging")["DashboardBody"]
    titles = [widget["properties"].get("title", "") for widget in json.loads(found)["widgets"]]
    assert {"Files", "Labels", "Confidence", "Drift from the training data"} <= set(titles)


def expiring(environment: Environment) -> dict[str, int]:
    """Folder -> the days after which what is in it is deleted."""
    rules = environment.client("s3").get_bucket_lifecycle_configuration(Bucket=environment.bucket)["Rules"]
    return {
        rule["Filter"].get("Prefix", ""): rule["Expiration"]["Days"]
        for rule in rules
        if "Days" in rule.get("Expiration", {})
    }


def test_the_bucket_is_private_versioned_encrypted_and_reached_over_tls(staging: Environment) -> None:
    s3, bucket = staging.client("s3"), {"Bucket": staging.bucket}
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    (statement,) = json.loads(s3.get_bucket_policy(**bucket)["Policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert expiring(staging) == {"output/": 90, "work/": 14}


def test_every_tag_says_whose_it_is(staging: Environment) -> None:
    pipeline = staging.arn("sagemaker", f"pipeline/{staging.pipeline}")
    tags = staging.client("sagemaker").list_tags(ResourceArn=pipeline)["Tags"]
    wanted = {("project", SLUG), ("environment", "staging")}
    assert {(each["Key"], each["Value"]) for each in tags} >= wanted
    url = staging.outputs()["undelivered_queue_url"]
    assert set(staging.client("sqs").list_queue_tags(QueueUrl=url)["Tags"].items()) >= wanted


def test_other_settings_and_other_code_are_deployed_in_place(staging: Environment) -> None:
    changed = deepcopy(SETTINGS)
    changed["retention"] = {"input_days": 30, "output_days": None, "work_days": 7}
    changed["input"]["formats"] = ["csv"]
    staging.record(begin=BEGIN.replace('print("begun")', 'print("begun by other code")'), settings=changed)
    output = staging.apply()
    assert " 0 destroyed" in output
    staging.assert_nothing_to_do()
    assert expiring(staging) == {"input/": 30, "work/": 7}
    assert lets_through(staging, created(staging, "input/a.jsonl", 0)) == set()
    staging.put("input/again.csv")
    assert staging.ended(3)["PipelineExecutionStatus"] == "Succeeded"
    assert "begun by other code" in staging.begin("input/again.csv")


def test_the_build_of_one_environment_cannot_deploy_the_other(environments: dict[str, Environment]) -> None:
    production = environments["production"]
    own = dict(production.terraform.environment)
    try:
        production.terraform.environment.update(build_credentials(production.sandbox, SLUG, "staging"))
        assert "Cannot assume IAM Role" in production.refusal()
    finally:
        production.terraform.environment.update(own)


def with_settings(part: str, **values: Any) -> dict[str, Any]:
    """The settings, with other values in one part."""
    return {**SETTINGS, part: {**SETTINGS[part], **values}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 2}, "version: expected 1"),
        ({"environment": "production"}, "environment: expected staging, got production"),
        ({"name": "reports-staging"}, f"name: expected {SLUG}-staging, got reports-staging"),
        ({"bucket": "x"}, f"bucket: expected mlops-{SLUG}-staging-{SHARED}-{REGION}, got x"),
        ({"functions_sha256": "x"}, "expected the file whose SHA-256 the record names"),
        ({"functions": "no.zip"}, "(functions_sha256), got none"),
        ({"definition_sha256": "x"}, "definition.json: expected the file whose SHA-256 the record names"),
        ({"settings": with_settings("input", prefix="*/")}, "expected folders such as input/"),
        ({"settings": with_settings("input", prefix="output/in/")}, "an answer would be a file to answer"),
        ({"settings": with_settings("output", prefix="input/out/")}, "an answer would be a file to answer"),
        ({"settings": with_settings("input", prefix="work/")}, "an answer would be a file to answer"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_record_that_cannot_be_deployed_is_refused_before_anything_is_changed(
    staging: Environment, changes: dict[str, Any], complaint: str
) -> None:
    staging.record(**changes)
    assert complaint in staging.refusal()


def test_a_slug_that_is_too_long_for_a_bucket_is_named(staging: Environment) -> None:
    slug = "the-answers-to-many-a-long-survey"
    bucket = f"mlops-{slug}-staging-{SHARED}-{REGION}"
    path = staging.repository / "config/project.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(f"slug: {SLUG}", f"slug: {slug}"), encoding="utf-8")
    staging.record(name=f"{slug}-staging", bucket=bucket)
    try:
        assert f"has {len(bucket)} characters, and a bucket's name has at most 63" in staging.refusal()
    finally:
        path.write_text(before, encoding="utf-8")


def test_a_record_that_is_not_enabled_leaves_the_files_and_nothing_else(staging: Environment) -> None:
    staging.record(enabled=False)
    staging.apply()
    staging.assert_nothing_to_do()
    assert set(staging.outputs()) == {"bucket", "log_groups"}  # Terraform leaves out what is null
    staging.put("input/nobody-answers.csv")
    assert staging.client("s3").head_object(Bucket=staging.bucket, Key=STRANGE)
    assert_nothing_but_the_bucket(staging)


def assert_nothing_but_the_bucket(environment: Environment) -> None:
    """What a deployment makes, but the bucket, is gone."""
    assert events.wait_idle(30)
    iam = environment.client("iam")
    assert not [role for role in iam.list_roles()["Roles"] if "/mlops/service" in role["Path"]]
    assert environment.client("sagemaker").list_pipelines()["PipelineSummaries"] == []
    assert environment.client("lambda").list_functions()["Functions"] == []
    assert environment.client("events").list_rules(NamePrefix=SLUG)["Rules"] == []
    assert "QueueUrls" not in environment.client("sqs").list_queues()
    assert environment.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    groups = environment.client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/")
    assert groups["logGroups"] == []


def test_destroy_stops_at_files_unless_told_and_then_leaves_nothing(
    environments: dict[str, Environment],
) -> None:
    staging, production = environments.values()
    staging.record(enabled=False)
    staging.destroy(status=1)
    assert staging.client("s3").head_object(Bucket=staging.bucket, Key=STRANGE)
    for environment in (staging, production):
        environment.apply(delete_data="true")
        environment.destroy(delete_data="true")
        assert_nothing_but_the_bucket(environment)
        buckets = environment.client("s3").list_buckets()["Buckets"]
        assert environment.bucket not in {bucket["Name"] for bucket in buckets}
