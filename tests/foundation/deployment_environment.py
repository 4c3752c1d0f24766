"""What the foundation makes for deployments to an environment, by name, and a role as they make it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tests.foundation.terraform_roots import REGION, SHARED

OTHER = {"staging": "production", "production": "staging"}
SUFFIX = {"staging": "-staging", "production": ""}
INLINE_POLICIES, MANAGED_POLICY = 10_240, 6_144  # characters without white space [read] IAM quotas


class Environment(NamedTuple):
    """Names of what the foundation has made for deployments to an environment."""

    name: str
    account: str

    @property
    def other(self) -> Environment:
        """The other one, as it is in a single account."""
        return Environment(OTHER[self.name], self.account)

    @property
    def role(self) -> str:
        return f"arn:aws:iam::{self.account}:role/mlops-deployment{SUFFIX[self.name]}"

    @property
    def boundary(self) -> str:
        return f"arn:aws:iam::{self.account}:policy/mlops-{self.name}-boundary"

    @property
    def service_role_path(self) -> str:
        return f"/mlops/service{SUFFIX[self.name]}/"

    def service_role(self, name: str = "router-sagemaker") -> str:
        return f"arn:aws:iam::{self.account}:role{self.service_role_path}{name}"

    def build_role(self, name: str = "router-endpoint") -> str:
        return f"arn:aws:iam::{SHARED}:role/mlops/deploy{SUFFIX[self.name]}/{name}"

    def bucket(self, name: str = "router") -> str:
        return f"arn:aws:s3:::mlops-{name}-{self.name}-{self.account}-{REGION}"

    def state(self, repository: str = "router") -> str:
        bucket = f"arn:aws:s3:::mlops-terraform-state-{self.account}-{REGION}"
        return f"{bucket}/deployment/{repository}/{self.name}.tfstate"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{REGION}:{self.account}:{resource}"


def make_service_role(iam: Any, here: Environment, name: str = "router-sagemaker") -> str:
    """Make a role as a deployment does, with a policy that allows everything; its ARN."""
    assumed = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    trust = {"Version": "2012-10-17", "Statement": assumed}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    anything = {"Version": "2012-10-17", "Statement": everything}
    made = iam.create_role(
        RoleName=name,
        Path=here.service_role_path,
        AssumeRolePolicyDocument=json.dumps(trust),
        PermissionsBoundary=here.boundary,
    )
    iam.put_role_policy(RoleName=name, PolicyName="anything", PolicyDocument=json.dumps(anything))
    return str(made["Role"]["Arn"])


def size_at_most(documents: list[Any]) -> int:
    """Characters of policies together, as IAM counts them, with the longest prefix and a long region."""
    texts = (json.dumps(document, separators=(",", ":")) for document in documents)
    return sum(
        len(text.replace("mlops", "m" * 16).replace(REGION, "ap-northeast-1").replace(" ", ""))
        for text in texts
    )
