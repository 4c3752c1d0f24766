"""The policy evaluator: AWS's documented logic, as tables."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops_workbench.sandbox.errors import PolicyError
from mlops_workbench.sandbox.iam.documents import Policy, context_of, parse
from mlops_workbench.sandbox.iam.evaluator import Decision, Principal, Request, evaluate

A, B = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{A}:role/path/build"
SESSION = f"arn:aws:sts::{A}:assumed-role/build/one"
OBJECT = "arn:aws:s3:::data/in/x"
KEY = f"arn:aws:kms:ca-central-1:{A}:key/k"


def policy(*statements: dict[str, Any]) -> Policy:
    return parse(json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def allow(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def request(
    action: str = "s3:GetObject",
    resource: str | None = OBJECT,
    principal: Principal | None = None,
    context: dict[str, Any] | None = None,
    **more: Any,
) -> Request:
    principal = principal or Principal(SESSION, A, role=ROLE)
    return Request(principal, action, resource, context_of(context or {}), **more)


def decide(*statements: dict[str, Any], **of_request: Any) -> Decision:
    return evaluate(request(**of_request), [policy(*statements)], None, [])


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([], False),
        ([allow()], True),
        ([allow("s3:Get*")], True),
        ([allow("S3:getobject")], True),
        ([allow("s3:GetObjec?")], True),
        ([allow(["s3:PutObject", "s3:GetObject"])], True),
        ([allow("s3:PutObject")], False),
        ([allow("s3:*", "arn:aws:s3:::data")], False),
        ([allow("s3:*", "arn:aws:s3:::data/*")], True),
        ([allow("s3:*", ["arn:aws:s3:::other/*", "arn:aws:s3:::data/in/?"])], True),
        ([allow("s3:*", "arn:aws:s3:::DATA/*")], False),
        ([allow(), deny("s3:GetObject")], False),
        ([allow(), deny("s3:PutObject")], True),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": ["iam:*", "s3:Get*"], "Resource": "*"}], False),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::data/*"}], False),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::other/*"}], True),
    ],
)
def test_statements_match_actions_and_resources(statements: list[dict[str, Any]], allowed: bool) -> None:
    assert decide(*statements).allowed is allowed


def test_without_a_resource_only_the_action_counts() -> None:
    assert decide(allow("s3:GetObject", "arn:aws:s3:::elsewhere/*"), resource=None).allowed
    assert not decide(allow("s3:PutObject"), resource=None).allowed


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "met"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", ["b", "a"], "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a", None, False),
        ("StringNotEquals", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", "a", None, True),
        ("StringEqualsIgnoreCase", "a", "A", True),
        ("StringNotEqualsIgnoreCase", "a", "A", False),
        ("StringLike", "a*c", "abc", True),
        ("StringNotLike", "a*", "abc", False),
        ("StringEqualsIfExists", "a", None, True),
        ("StringEqualsIfExists", "a", "b", False),
        ("Null", "true", None, True),
        ("Null", "true", "x", False),
        ("Null", False, "x", True),
        ("Bool", "false", False, True),
        ("Bool", False, False, True),
        ("Bool", "false", True, False),
        ("BoolIfExists", "true", None, True),
        ("NumericEquals", "3", "3.0", True),
        ("NumericNotEquals", "3", "4", True),
        ("NumericLessThanEquals", 2048, "2048", True),
        ("NumericGreaterThan", 2048, "2048", False),
        ("NumericLessThan", 5, "x", False),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", True),
        ("DateLessThan", "2026-01-01T00:00:00Z", "1767225601", False),
        ("IpAddress", "127.0.0.0/8", "127.0.0.1", True),
        ("NotIpAddress", ["10.0.0.0/8", "127.0.0.0/8"], "127.0.0.1", False),
        ("ArnLike", f"arn:aws:iam::{A}:role/mlops/deploy/*", f"arn:aws:iam::{A}:role/mlops/deploy/x", True),
        ("ArnLike", "arn:aws:iam:*:role/x", f"arn:aws:iam::{A}:role/x", False),
        ("ArnEquals", "arn:aws:iam::*:role/x", f"arn:aws:iam::{A}:role/x", True),
        ("ArnNotEquals", f"arn:aws:iam::{A}:role/x", f"arn:aws:iam::{A}:role/x", False),
        ("ForAnyValue:StringEquals", ["a", "b"], ["x", "b"], True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "x"], False),
        ("ForAllValues:StringEquals", ["a", "b"], ["b", "a"], True),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "a"], False),
    ],
)
def test_condition_operators(operator: str, wanted: Any, given: Any, met: bool) -> None:
    statement = allow(Condition={operator: {"the:Key": wanted}})
    assert decide(statement, context={"THE:key": given}).allowed is met


def test_all_conditions_must_be_met() -> None:
    conditions = {"StringEquals": {"a:x": "1", "a:y": "2"}, "Bool": {"a:z": "true"}}
    statement = allow(Condition=conditions)
    assert decide(statement, context={"a:x": "1", "a:y": "2", "a:z": True}).allowed
    for missing in ("a:x", "a:y", "a:z"):
        context = {"a:x": "1", "a:y": "2", "a:z": True} | {missing: None}
        assert not decide(statement, context=context).allowed


def test_an_unknown_operator_is_an_error_not_an_allow() -> None:
    with pytest.raises(PolicyError, match="StringSimilar"):
        decide(allow(Condition={"StringSimilar": {"a:x": "1"}}))


def test_a_deny_with_an_unmet_condition_denies_nothing() -> None:
    tls = deny(Condition={"Bool": {"aws:SecureTransport": "false"}})
    assert decide(allow(), tls, context={"aws:SecureTransport": True}).allowed
    assert not decide(allow(), tls, context={"aws:SecureTransport": False}).allowed


@pytest.mark.parametrize(
    ("pattern", "context", "allowed"),
    [
        ("arn:aws:s3:::data/${aws:username}/*", {"aws:username": "in"}, True),
        ("arn:aws:s3:::data/${aws:username}/*", {"aws:username": "*"}, False),
        ("arn:aws:s3:::data/${aws:username}/*", {}, False),
        ("arn:aws:s3:::data/${aws:username, 'in'}/*", {}, True),
        ("arn:aws:s3:::data/${aws:PrincipalTag/team}/x", {"aws:PrincipalTag/team": "in"}, True),
        ("arn:aws:s3:::data/${*}", {}, False),
    ],
)
def test_policy_variables(pattern: str, context: dict[str, Any], allowed: bool) -> None:
    assert decide(allow("s3:*", pattern), context=context).allowed is allowed


def principal_policy(principal: Any, **more: Any) -> Policy:
    return policy({**allow(), "Principal": principal, **more})


@pytest.mark.parametrize(
    ("principal", "identity_allows", "same_account", "other_account"),
    [
        ("*", False, True, False),
        ("*", True, True, True),
        ({"AWS": "*"}, False, True, False),
        ({"AWS": ROLE}, False, True, False),
        ({"AWS": [f"arn:aws:iam::{A}:user/x", ROLE]}, True, True, True),
        ({"AWS": SESSION}, False, True, False),
        # Naming the account leaves it to the account's own policies.
        ({"AWS": f"arn:aws:iam::{A}:root"}, False, False, False),
        ({"AWS": A}, True, True, True),
        ({"AWS": B}, True, True, False),
        ({"Service": "sagemaker.amazonaws.com"}, True, True, False),
    ],
)
def test_resource_policies_in_the_same_and_across_accounts(
    principal: Any, identity_allows: bool, same_account: bool, other_account: bool
) -> None:
    identity = [policy(allow())] if identity_allows else []
    resource = [principal_policy(principal)]
    assert evaluate(request(resource_account=A), identity, None, resource).allowed is same_account
    assert evaluate(request(resource_account=B), identity, None, resource).allowed is other_account


def test_a_deny_in_a_resource_policy_is_for_those_it_names() -> None:
    identity = [policy(allow())]
    for principal, allowed in [("*", False), ({"AWS": ROLE}, False), ({"AWS": A}, False), ({"AWS": B}, True)]:
        resource = [policy({**deny(), "Principal": principal})]
        assert evaluate(request(), identity, None, resource).allowed is allowed
    others = [policy({**deny(), "NotPrincipal": {"AWS": ROLE}})]
    assert evaluate(request(), identity, None, others).allowed
    assert not evaluate(request(principal=Principal("x", A, role="y")), identity, None, others).allowed


@pytest.mark.parametrize(
    ("key_policy", "identity_allows", "allowed"),
    [
        ({"AWS": f"arn:aws:iam::{A}:root"}, True, True),
        ({"AWS": f"arn:aws:iam::{A}:root"}, False, False),
        ({"AWS": ROLE}, False, True),
        ({"AWS": f"arn:aws:iam::{A}:role/other"}, True, False),
    ],
)
def test_a_key_is_governed_by_its_own_policy(key_policy: Any, identity_allows: bool, allowed: bool) -> None:
    identity = [policy(allow())] if identity_allows else []
    asked = request("kms:Decrypt", KEY, delegated=True)
    assert evaluate(asked, identity, None, [principal_policy(key_policy)]).allowed is allowed


@pytest.mark.parametrize(
    ("resource_principal", "allowed"), [(None, False), ({"AWS": ROLE}, False), ({"AWS": SESSION}, True)]
)
def test_a_boundary_limits_what_other_policies_give(resource_principal: Any, allowed: bool) -> None:
    boundary = [policy(allow("s3:PutObject"))]
    resource = [principal_policy(resource_principal)] if resource_principal else []
    decision = evaluate(request(), [policy(allow())], boundary, resource)
    assert decision.allowed is allowed
    if not allowed:
        assert decision.reason == "because no permissions boundary allows the s3:GetObject action"


def test_a_boundary_gives_nothing_by_itself_and_a_session_policy_limits_too() -> None:
    assert not evaluate(request(), [], [policy(allow())], []).allowed
    assert not evaluate(request(), [policy(allow())], None, [], [policy(allow("s3:PutObject"))]).allowed


QUEUE = f"arn:aws:sqs:ca-central-1:{A}:queue"
RULE = f"arn:aws:events:ca-central-1:{A}:rule/new-objects"
ADMITTED = allow(
    "sqs:SendMessage", QUEUE, Principal={"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}
)


def admitted(*statements: dict[str, Any]) -> bool:
    """Whether a queue's policy lets EventBridge send for a rule."""
    service = Principal("events.amazonaws.com", service="events.amazonaws.com")
    context = {"aws:SourceArn": RULE, "aws:SourceAccount": A, "aws:SecureTransport": True}
    asked = request("sqs:SendMessage", QUEUE, service, context, delegated=True)
    return evaluate(asked, [], None, [policy(*statements)]).allowed


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"Action": ["SQS:*"]}, True),
        ({"Action": "sqs:ReceiveMessage"}, False),
        ({"Resource": f"{QUEUE}2"}, False),
        ({"Principal": {"Service": "sns.amazonaws.com"}}, False),
        ({"Principal": {"AWS": f"arn:aws:iam::{A}:root"}}, False),
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:events:*:{A}:rule/*"}}}, True),
        ({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:rule/new-objects"}}}, False),
        ({"Condition": {"ArnEquals": {"AWS:SourceArn": f"{RULE}-2"}}}, False),
        ({"Condition": {"StringEquals": {"aws:SourceAccount": B}}}, False),
        ({"Condition": {"StringNotEquals": {"aws:SourceAccount": B}}}, True),
        ({"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
        ({"Condition": {"NumericLessThan": {"aws:SourceAccount": "1"}}}, False),
    ],
)
def test_a_service_is_admitted_by_what_a_statement_says(changes: dict[str, Any], allowed: bool) -> None:
    assert admitted({**ADMITTED, **changes}) is allowed


def test_a_service_is_kept_out_by_a_denial_that_speaks_to_it() -> None:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    everybody: list[Any] = ["*", {"AWS": "*"}]
    assert not admitted()
    for named in [*everybody, ADMITTED["Principal"]]:
        assert not admitted(ADMITTED, deny(Principal=named))
        assert admitted(ADMITTED, deny(Principal=named, Condition=insecure))
    assert admitted(ADMITTED, deny(Principal={"Service": "sns.amazonaws.com"}))


def test_the_reason_says_which_kind_of_policy_refused() -> None:
    assert decide().reason == "because no identity-based policy allows the s3:GetObject action"
    assert decide(allow(), deny()).reason == "with an explicit deny in an identity-based policy"
    foreign = evaluate(request(resource_account=B), [policy(allow())], None, [])
    assert foreign.reason == "because no resource-based policy allows the s3:GetObject action"
