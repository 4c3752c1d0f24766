"""Sessions: a person's credentials, a role that is assumed for longer than an hour, errors in one line."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from configuration.errors import UserError
from release import aws

ROLE = "arn:aws:iam::222222222222:role/mlops-deployment"


def test_a_role_is_assumed_with_the_callers_credentials_and_acts_instead_of_them(service: Any) -> None:
    acting = aws.assumed(aws.session("ca-central-1"), ROLE, "email-router-production")
    assert not service.assumed, "it is assumed at the first call"
    aws.caller(acting)
    aws.caller(acting)
    assert service.callers == ["test", "ASSUMED1", "ASSUMED1"]
    (asked,) = service.assumed
    assert (asked["RoleArn"], asked["RoleSessionName"]) == (ROLE, "email-router-production")
    assert acting.region_name == "ca-central-1"


def test_credentials_of_a_role_that_end_soon_are_renewed(service: Any) -> None:
    service.lifetime = 60  # botocore renews what ends within ten minutes
    acting = aws.assumed(aws.session("ca-central-1"), ROLE, "name")
    for _ in range(2):
        aws.caller(acting)
    assert len(service.assumed) >= 2
    assert service.callers[-1] == f"ASSUMED{len(service.assumed)}"


def test_whose_credentials_these_are(service: Any) -> None:
    service.account = "333333333333"
    found = aws.caller(aws.session("ca-central-1"))
    assert found == aws.Caller("333333333333", "arn:aws:iam::333333333333:user/tester")


def test_a_profile_that_is_not_there_is_one_line(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UserError, match=r"^AWS settings: The config profile \(nobody\) could not be found$"):
        aws.session("ca-central-1")


@pytest.mark.parametrize(("code", "advice"), [("ExpiredToken", True), ("AccessDenied", False)])
def test_an_error_of_aws_is_one_line_and_says_what_to_do_when_that_is_known(code: str, advice: bool) -> None:
    error = {"Error": {"Code": code, "Message": "first\nsecond"}}
    with pytest.raises(UserError) as caught, aws.plain_errors("s3://bucket/key"):
        raise ClientError(error, "GetObject")  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.startswith("s3://bucket/key: ") and "first second" in message and "\n" not in message
    assert ("sign in again" in message) is advice
