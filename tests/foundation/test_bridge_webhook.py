"""The webhook's function: only a signed event of the URL's repository leads to messages, and to all."""

import json

import pytest

FEATURE = "feature/ABC-1_Étude"


def answered(answer):
    return answer["statusCode"], json.loads(answer["body"])


def test_a_signed_push_is_queued_as_it_is(webhook, aws, gateway, push, changed):
    aws.register()
    answer = webhook.handler(gateway(push(changed("Release/V1", "c" * 40))), None)
    assert answered(answer) == (200, {"queued": ["Release/V1"], "ignored": []})
    assert aws.queued() == [
        {
            "repository": "email-router",
            "project": "ML",
            "branch": "Release/V1",
            "commit": "c" * 40,
            "request_id": "request-1",
        }
    ]


def test_the_body_is_checked_as_bytes_when_api_gateway_has_encoded_it(webhook, aws, gateway, push, changed):
    aws.register()
    body = json.dumps(push(changed(FEATURE)), ensure_ascii=False).encode()
    assert webhook.handler(gateway(body, encoded=True), None)["statusCode"] == 200
    assert webhook.handler(gateway(body), None)["statusCode"] == 200
    assert [message["branch"] for message in aws.queued()] == [FEATURE, FEATURE]


def test_header_names_have_no_case(webhook, aws, gateway, push):
    aws.register()
    event = gateway(push())
    event["headers"] = {name.title(): value for name, value in event["headers"].items()}
    assert webhook.handler(event, None)["statusCode"] == 200


def test_every_change_counts_and_what_is_ignored_is_said(webhook, aws, gateway, push, changed):
    aws.register()
    body = push(
        changed("gone", kind="DELETE"),
        changed("new", "1" * 40, kind="ADD"),
        changed(ref="refs/tags/v1", kind="ADD"),
        changed("main", "2" * 40),
        changed("x" * 1100, "3" * 40),
    )
    status, said = answered(webhook.handler(gateway(body), None))
    assert (status, said["queued"]) == (200, ["new", "main"])
    assert [entry["ref"] for entry in said["ignored"]] == [
        "refs/heads/gone",
        "refs/tags/v1",
        "refs/heads/" + "x" * 1100,
    ]
    assert all(entry["reason"] for entry in said["ignored"])
    assert [(m["branch"], m["commit"]) for m in aws.queued()] == [("new", "1" * 40), ("main", "2" * 40)]


def test_more_changes_than_a_batch_of_the_queue_are_all_queued(webhook, aws, gateway, push, changed):
    aws.register()
    names = [f"branch-{number}" for number in range(23)]
    assert webhook.handler(gateway(push(*map(changed, names))), None)["statusCode"] == 200
    assert sorted(message["branch"] for message in aws.queued()) == sorted(names)


@pytest.mark.parametrize(
    "signature",
    [None, "", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "Ünsigned", "0" * 64],
)
def test_without_the_right_signature_nothing_happens(webhook, aws, gateway, push, signature):
    aws.register()
    event = gateway(push(), secret=None)
    if signature is not None:
        event["headers"]["x-hub-signature"] = signature
    assert answered(webhook.handler(event, None)) == (401, {"message": "unauthorized"})
    assert aws.queued() == []


def test_an_older_algorithm_is_refused_even_with_the_right_secret(webhook, aws, gateway, push):
    import hashlib
    import hmac

    aws.register()
    body = json.dumps(push()).encode()
    weak = "sha1=" + hmac.new(b"a secret of the webhook", body, hashlib.sha1).hexdigest()
    event = gateway(body, secret=None, x_hub_signature=weak)
    assert webhook.handler(event, None)["statusCode"] == 401


def test_an_altered_body_leads_to_nothing(webhook, aws, gateway, push, changed):
    aws.register()
    event = gateway(push(changed(commit="a" * 40)))
    event["body"] = event["body"].replace("a" * 40, "e" * 40)
    assert webhook.handler(event, None)["statusCode"] == 401
    assert aws.queued() == []


def test_a_repository_that_is_not_registered_looks_like_a_bad_signature(webhook, aws, gateway, push):
    aws.register()
    bad = webhook.handler(gateway(push(), secret="wrong"), None)
    for name in ("other", "../email-router", "email-router/x", "E" * 500, ""):
        assert webhook.handler(gateway(push(repository=name), repository=name), None) == bad
    assert webhook.handler(gateway(push(), repository="other", secret=""), None) == bad


def test_the_secret_is_chosen_by_the_url_and_not_by_the_body(webhook, aws, gateway, push):
    aws.register("victim", secret="of the victim")
    aws.register("mallory", secret="of mallory")
    named = gateway(push(repository="mallory"), repository="victim", secret="of mallory")
    assert webhook.handler(named, None)["statusCode"] == 401
    other = gateway(push(repository="victim"), repository="mallory", secret="of mallory")
    assert webhook.handler(other, None)["statusCode"] == 403
    assert aws.queued() == []


def test_an_event_of_another_project_is_forbidden(webhook, aws, gateway, push):
    aws.register()
    assert webhook.handler(gateway(push(project="OTHER")), None)["statusCode"] == 403
    assert aws.queued() == []


def test_no_address_makes_up_for_a_signature(webhook, aws, gateway, push):
    aws.register()
    for address in ("127.0.0.1", "10.0.0.1", "104.192.136.1"):
        event = gateway(push(), secret=None, x_forwarded_for=address)
        event["requestContext"]["http"]["sourceIp"] = address
        assert webhook.handler(event, None)["statusCode"] == 401


def test_a_ping_is_answered_signed_or_not_and_does_nothing(webhook, aws, gateway, push):
    for event in (
        gateway({"test": True}, event_key="diagnostics:ping", secret=None),
        gateway({"test": True}, event_key="diagnostics:ping", secret="wrong", repository="other"),
        gateway(push(), event_key="diagnostics:ping"),
    ):
        assert webhook.handler(event, None)["statusCode"] == 200
    assert aws.queued() == []


def test_another_event_is_ignored_once_its_signature_is_right(webhook, aws, gateway, push):
    aws.register()
    assert webhook.handler(gateway(push(), event_key="pr:opened"), None)["statusCode"] == 200
    assert webhook.handler(gateway(push(), event_key=None), None)["statusCode"] == 200
    assert webhook.handler(gateway(push(), event_key="pr:opened", secret="wrong"), None)["statusCode"] == 401
    assert aws.queued() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"repository": 1}',
        b'{"repository": {"slug": "email-router", "project": {"key": "ML"}}}',
        b'{"repository": {"slug": "email-router", "project": {"key": "ML"}}, "changes": [1]}',
    ],
)
def test_a_malformed_body_is_refused_after_its_signature_is_right(webhook, aws, gateway, body):
    aws.register()
    assert webhook.handler(gateway(body, encoded=True), None)["statusCode"] == 400
    assert webhook.handler(gateway(body, encoded=True, secret="wrong"), None)["statusCode"] == 401


@pytest.mark.parametrize("commit", ["0" * 40, "a" * 39, "A" * 40, "main", "a" * 40 + "\n", None, 1])
def test_a_commit_is_a_full_id(webhook, aws, gateway, push, changed, commit):
    aws.register()
    assert webhook.handler(gateway(push(changed(commit=commit))), None)["statusCode"] == 400
    assert aws.queued() == []


def test_a_body_that_is_too_large_is_refused(webhook, aws, gateway):
    aws.register()
    large = b'"' + b"x" * webhook.BODY_BYTES + b'"'
    for encoded in (False, True):
        assert webhook.handler(gateway(large, encoded=encoded), None)["statusCode"] == 413


def test_a_body_that_is_not_base64_is_refused(webhook, aws, gateway, push):
    aws.register()
    event = gateway(push(), encoded=True)
    event["body"] = "*" + event["body"]
    assert webhook.handler(event, None)["statusCode"] == 400


def test_a_rotated_secret_is_read_again(webhook, aws, gateway, push, monkeypatch):
    import bridge.secrets

    aws.register()
    assert webhook.handler(gateway(push()), None)["statusCode"] == 200
    aws.register(secret="the next one")
    monkeypatch.setattr(bridge.secrets, "PAUSE_SECONDS", 0)
    assert webhook.handler(gateway(push(), secret="the next one"), None)["statusCode"] == 200
    assert webhook.handler(gateway(push()), None)["statusCode"] == 401


def test_a_flood_of_bad_signatures_reads_the_secret_once_and_then_seldom(aws):
    from bridge.secrets import PAUSE_SECONDS, WebhookSecrets

    aws.register()
    now, client, reads = [0.0], aws.client("secretsmanager"), []
    client.meta.events.register("before-call.secrets-manager.GetSecretValue", lambda **_: reads.append(1))
    secrets = WebhookSecrets(client, "mlops/bitbucket/webhook/", clock=lambda: now[0])
    for repository in ("email-router", "unknown"):
        reads.clear()
        first = secrets.of(repository)
        for _ in range(10):
            assert secrets.again(repository, secrets.of(repository)) == first
        assert len(reads) == 1
        now[0] += PAUSE_SECONDS
        secrets.again(repository, secrets.of(repository))
        assert len(reads) == 2


def test_a_repository_registered_later_is_seen(webhook, aws, gateway, push, monkeypatch):
    import bridge.secrets

    assert webhook.handler(gateway(push()), None)["statusCode"] == 401
    aws.register()
    monkeypatch.setattr(bridge.secrets, "PAUSE_SECONDS", 0)
    assert webhook.handler(gateway(push()), None)["statusCode"] == 200


def test_a_repository_that_was_unregistered_looks_like_one_that_never_was(webhook, aws, gateway, push):
    aws.register()
    aws.client("secretsmanager").delete_secret(SecretId="mlops/bitbucket/webhook/email-router")
    assert answered(webhook.handler(gateway(push()), None)) == (401, {"message": "unauthorized"})


def test_a_name_that_no_object_can_have_is_ignored(webhook, aws, gateway, push, changed):
    aws.register()
    status, said = answered(webhook.handler(gateway(push(changed("\ud800"), changed("main"))), None))
    assert (status, said["queued"], len(said["ignored"])) == (200, ["main"], 1)


def test_a_secret_that_is_unusable_is_an_error_and_not_an_open_door(webhook, aws, gateway, push, capsys):
    aws.client("secretsmanager").create_secret(
        Name="mlops/bitbucket/webhook/email-router", SecretString="not JSON: hush"
    )
    for secret in (None, "", "not JSON: hush"):
        assert webhook.handler(gateway(push(), secret=secret), None)["statusCode"] == 500
    assert aws.queued() == []
    assert "hush" not in capsys.readouterr().out


def test_when_the_queue_refuses_all_bitbucket_hears_of_it(webhook, aws, gateway, push):
    aws.register()
    aws.client("sqs").delete_queue(QueueUrl=aws.queue_url)
    assert webhook.handler(gateway(push()), None)["statusCode"] == 500


def test_messages_that_the_queue_refuses_are_tried_again_and_then_an_error(
    webhook, aws, gateway, push, changed
):
    """A queue that takes messages up to a size refuses single entries of a batch, as a busy one does."""
    aws.register()
    real, calls = webhook.service().queue, []

    class Refusing:
        """Refuses the second message, so many times."""

        def __init__(self, times):
            self.times = times

        def send_message_batch(self, QueueUrl, Entries):
            calls.append(len(Entries))
            refused = (
                [e for e in Entries if '"second"' in e["MessageBody"]] if len(calls) <= self.times else []
            )
            sent = [entry for entry in Entries if entry not in refused]
            if sent:
                real.send_message_batch(QueueUrl=QueueUrl, Entries=sent)
            failed = [{"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in refused]
            return {"Successful": [{"Id": entry["Id"]} for entry in sent], "Failed": failed}

    body = push(changed("first"), changed("second"), changed("third"))
    webhook.service().queue = Refusing(times=1)
    assert webhook.handler(gateway(body), None)["statusCode"] == 200
    assert calls == [3, 1]
    assert [message["branch"] for message in aws.queued()] == ["first", "third", "second"]
    calls.clear()
    webhook.service().queue = Refusing(times=99)
    status, said = answered(webhook.handler(gateway(body), None))
    assert (status, said["message"]) == (500, "1 of 3 not queued; send the event again")
    assert [message["branch"] for message in aws.queued()] == ["first", "third"]


def test_what_is_logged_are_lines_of_json_without_secret_signature_or_body(
    webhook, aws, gateway, push, capsys
):
    aws.register()
    body = push() | {"note": "text of the body"}
    for secret in ("a secret of the webhook", "wrong"):
        webhook.handler(gateway(body, secret=secret), None)
    printed = capsys.readouterr().out
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [
        ("INFO", "queued"),
        ("WARNING", "refused"),
    ]
    assert all(line["request_id"] == "request-1" for line in lines)
    for hidden in ("a secret of the webhook", "sha256=", "text of the body"):
        assert hidden not in printed
