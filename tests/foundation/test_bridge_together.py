"""From a push to the object: Bitbucket's own request through both functions, and sent again or altered."""

import ast
import json
import sys
from pathlib import Path

import pytest

KEY = "email-router/main.zip"
PACKAGE = Path(__file__).resolve().parents[2] / "shared/foundation/bridge"


@pytest.fixture
def deliver(webhook, fetch, aws, clone, bitbucket, gateway, sqs_event, context):
    """Gives a request of Bitbucket to the webhook, and what it queues to the fetching function."""
    aws.register()
    hook = {
        "id": 1,
        "url": "http://127.0.0.1:9/bitbucket/email-router",  # nobody listens: the test takes the request
        "active": True,
        "events": ["repo:refs_changed"],
        "configuration": {"secret": "a secret of the webhook"},
    }
    bitbucket.repository("ML", "email-router").webhooks[1] = hook

    def run(delivery, body=None):
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        event = gateway(delivery.body if body is None else body, secret=None, event_key=None)
        event["headers"] = headers
        status = webhook.handler(event, None)["statusCode"]
        messages = aws.queued()
        assert fetch.handler(sqs_event(*messages), context()) == {"batchItemFailures": []}
        return status, len(messages)

    return run


def commit_of(aws, key=KEY):
    return aws.client("s3").head_object(Bucket=aws.bucket, Key=key)["Metadata"]["commit"]


def test_a_push_of_two_branches_writes_two_objects(deliver, aws, bitbucket, clone):
    commit = clone.commit("One")
    clone.push("main", "main:Feature/A", "main:refs/tags/v1")
    [delivery] = bitbucket.settle()
    assert deliver(delivery) == (200, 2)
    assert aws.objects() == ["email-router/Feature/A.zip", KEY]
    assert commit_of(aws) == commit


def test_a_webhook_that_is_sent_again_leads_to_nothing_new(deliver, aws, bitbucket, clone):
    clone.commit("One")
    clone.push()
    [first] = bitbucket.settle()
    assert deliver(first) == (200, 1)
    assert deliver(first) == (200, 1)
    assert aws.versions(KEY) == 1
    newest = clone.commit("Two")
    clone.push()
    assert deliver(bitbucket.settle()[-1]) == (200, 1)
    assert deliver(first) == (200, 1)
    assert (commit_of(aws), aws.versions(KEY)) == (newest, 2)


def test_an_altered_webhook_leads_to_nothing(deliver, aws, bitbucket, clone):
    clone.commit("One")
    clone.push()
    [delivery] = bitbucket.settle()
    document = json.loads(delivery.body)
    document["changes"][0]["ref"]["id"] = "refs/heads/production"
    assert deliver(delivery, json.dumps(document).encode()) == (401, 0)
    assert deliver(delivery, delivery.body + b" ") == (401, 0)
    assert aws.objects() == []


def test_a_deleted_branch_leaves_its_object(deliver, aws, bitbucket, clone):
    commit = clone.commit("One")
    clone.push("main", "main:old")
    assert deliver(bitbucket.settle()[0]) == (200, 2)
    clone.push(":old")
    assert deliver(bitbucket.settle()[-1]) == (200, 0)
    assert commit_of(aws, "email-router/old.zip") == commit


def test_the_functions_need_what_the_runtime_has():
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            roots = {name.split(".")[0] for name in names}
            assert roots <= sys.stdlib_module_names | {"boto3", "botocore", "bridge"}, file.name


def test_the_summary_of_a_revision_is_one_short_line_of_ascii():
    from bridge.source import revision_summary

    commit = "0123456789abcdef" * 2 + "01234567"
    assert revision_summary(commit, "Été à Montréal\n\nbody") == "0123456789ab Ete a Montreal"
    assert revision_summary(commit, "") == "0123456789ab"
    for message in ("x" * 5000, "\r\nSet-Cookie: a", "tab\there \x00 \x7f", "日本語"):
        text = revision_summary(commit, message)
        assert len(text) <= 200
        assert all(" " <= character <= "~" for character in text)
