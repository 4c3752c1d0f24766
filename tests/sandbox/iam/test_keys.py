"""What is encrypted with a customer's key needs the key too, under enforcement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.iam import decide
from tests.sandbox.iam.world import REGION, A, B, World, allow, document, refusal


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Sandbox(tmp_path_factory.mktemp("keys"), accounts=(A, B), enforce_iam=True) as sandbox:
        yield World(sandbox)


@pytest.fixture(scope="module")
def key(world: World) -> str:
    kms = world.admin("kms")
    root = {**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{A}:root"}}
    made: str = kms.create_key(Policy=document(root))["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/mlops", TargetKeyId=made)
    return made


@pytest.mark.parametrize("default_encryption", [True, False])
def test_objects_under_a_customers_key(world: World, key: str, default_encryption: bool) -> None:
    bucket = f"keys-{default_encryption}".lower()
    s3 = world.bucket(bucket)
    arguments: dict[str, Any] = {"Bucket": bucket, "Key": "x", "Body": b"text"}
    if default_encryption:
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        s3.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
        )
    else:
        arguments |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    role = world.role(bucket, allow("s3:*"))
    client = world.acting_as(role, "s3")
    assert f"kms:GenerateDataKey on resource: {key}" in refusal(client.put_object, **arguments)
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    world.allow(bucket, allow("s3:*"), allow("kms:GenerateDataKey", key, Condition=via))
    client.put_object(**arguments)
    assert f"kms:Decrypt on resource: {key}" in refusal(client.get_object, Bucket=bucket, Key="x")
    world.allow(bucket, allow("s3:*"), allow("kms:Decrypt", key, Condition=via))
    assert client.get_object(Bucket=bucket, Key="x")["Body"].read() == b"text"
    # By itself the role may not use the key.
    kms = world.acting_as(role, "kms")
    assert "kms:GenerateDataKey" in refusal(kms.generate_data_key, KeyId=key, KeySpec="AES_256")


def test_an_alias_stands_for_its_key(world: World, key: str) -> None:
    kms = world.acting_as(world.role("alias", allow("kms:DescribeKey", key)), "kms")
    assert kms.describe_key(KeyId="alias/mlops")["KeyMetadata"]["Arn"] == key


def test_a_secret_under_a_customers_key(world: World, key: str) -> None:
    secrets = world.admin("secretsmanager")
    arn = secrets.create_secret(Name="mlops/token", KmsKeyId=key, SecretString="x")["ARN"]
    client = world.acting_as(
        world.role("secret", allow("secretsmanager:GetSecretValue", arn)), "secretsmanager"
    )
    assert f"kms:Decrypt on resource: {key}" in refusal(client.get_secret_value, SecretId="mlops/token")
    world.allow("secret", allow("secretsmanager:GetSecretValue", arn), allow("kms:Decrypt", key))
    assert client.get_secret_value(SecretId="mlops/token")["SecretString"] == "x"


def test_a_queue_under_a_customers_key(world: World, key: str) -> None:
    url = world.admin("sqs").create_queue(QueueName="locked", Attributes={"KmsMasterKeyId": "alias/mlops"})
    client = world.acting_as(world.role("queue", allow("sqs:*")), "sqs")
    message = {"QueueUrl": url["QueueUrl"], "MessageBody": "x"}
    assert f"kms:GenerateDataKey on resource: {key}" in refusal(client.send_message, **message)
    world.allow("queue", allow("sqs:*"), allow(["kms:GenerateDataKey", "kms:Decrypt"], key))
    client.send_message(**message)


def test_a_service_is_admitted_by_the_resources_policy(world: World) -> None:
    sqs = world.admin("sqs")
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    queue, rule = f"arn:aws:sqs:{REGION}:{A}:events", f"arn:aws:events:{REGION}:{A}:rule/r"
    service = {
        **allow("sqs:SendMessage", queue, Condition={"ArnEquals": {"aws:SourceArn": rule}}),
        "Principal": {"Service": "events.amazonaws.com"},
    }

    def refused(source: str, to: str = queue) -> str:
        return decide.refusal(to, "events.amazonaws.com", "sqs:SendMessage", source, A)

    assert "no resource-based policy allows the sqs:SendMessage action" in refused(rule)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document(service)})
    assert refused(rule) == ""
    assert f"does not let events.amazonaws.com do sqs:SendMessage for {rule}2" in refused(f"{rule}2")
    assert refused(rule, f"{queue}-2") == f"{queue}-2 does not exist"


def test_a_role_that_a_service_uses_without_a_request(world: World) -> None:
    pipeline = f"arn:aws:codepipeline:{REGION}:{A}:email"
    role = world.role("target", allow("codepipeline:StartPipelineExecution", pipeline))
    start = "codepipeline:StartPipelineExecution"
    decide.check_role(role, "rule", start, pipeline, REGION)
    with pytest.raises(AccessDenied, match=f"{start} on resource: {pipeline}2"):
        decide.check_role(role, "rule", start, f"{pipeline}2", REGION)
