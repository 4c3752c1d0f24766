"""Two accounts with IAM enforced, and short ways to make roles and to act as them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.iam.acting import role_environment

A, B = "111111111111", "222222222222"
REGION = "ca-central-1"
SERVICE = "codebuild.amazonaws.com"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def trust(principal: Any, action: str = "sts:AssumeRole", **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": action, **more})


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """Return the message that a call is refused with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    message: str = caught.value.response["Error"].get("Message", "")
    return message


@dataclass
class World:
    """An open sandbox."""

    sandbox: Sandbox

    def admin(self, service: str, account: str = A) -> Any:
        return self.sandbox.client(service, account=account)

    def role(self, name: str, *statements: dict[str, Any], account: str = A, **more: Any) -> str:
        """Make a role that CodeBuild may act as (or whoever ``AssumeRolePolicyDocument`` says)."""
        iam = self.admin("iam", account)
        more.setdefault("AssumeRolePolicyDocument", trust({"Service": SERVICE}))
        made: str = iam.create_role(RoleName=name, **more)["Role"]["Arn"]
        if statements:
            self.allow(name, *statements, account=account)
        return made

    def allow(self, name: str, *statements: dict[str, Any], account: str = A) -> None:
        """Replace a role's inline policy."""
        self.admin("iam", account).put_role_policy(
            RoleName=name, PolicyName="inline", PolicyDocument=document(*statements)
        )

    def acting_as(self, role_arn: str, service: str) -> Any:
        """Return a client with the keys that CodeBuild gets for the role."""
        keys = role_environment(role_arn, SERVICE, REGION, "session")
        return self.client(
            service, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], keys["AWS_SESSION_TOKEN"]
        )

    def client(self, service: str, key_id: str, secret: str, token: str | None = None) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.sandbox.endpoint_url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def bucket(self, name: str = "data", account: str = A) -> Any:
        s3 = self.admin("s3", account)
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return s3
