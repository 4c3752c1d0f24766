"""Access keys of the sandbox's accounts, and boto3 clients that use keys.

moto takes the account of a request from the owner of its access key, so each account gets an IAM user with
a key of its own, one administrator's. The keys are the same in every sandbox: they open nothing but a
server on this machine.

Clients are made from one boto3 session. A session reads botocore's data files and each client its
service's model: about a third of a second for each session, a hundredth for a further client of the same.
Making a client is not safe in two threads at once; using one is.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

_lock = threading.Lock()
#: No proxy reaches this machine's loopback, and it loses no bytes: objects need no checksums on their way.
#: What fails here once fails again.
_CONFIG = Config(
    proxies={},
    retries={"total_max_attempts": 2},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    s3={"payload_signing_enabled": False},
)
USER_NAME = "sandbox"


@functools.cache
def _session() -> Any:  # its stubs know a service by a literal name only
    return boto3.session.Session()


def client(
    service: str,
    *,
    endpoint_url: str | None,
    region: str,
    key_id: str | None,
    secret: str | None,
    token: str | None,
) -> Any:
    """Return a client that uses this endpoint and these keys, whatever the environment and profiles say."""
    with _lock:
        made = _session().client(
            service,
            region_name=region,
            endpoint_url=endpoint_url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=_CONFIG,
        )
        # Made when they are first asked for, and each of two threads that ask together gets classes of its
        # own, of which `except` knows one: so they are asked for here.
        _ = made.exceptions
        return made


def from_environment(service: str, environment: Mapping[str, str], region: str | None = None) -> Any:
    """Return a client for the endpoint, keys and region that AWS_* variables carry."""
    return client(
        service,
        endpoint_url=environment.get("AWS_ENDPOINT_URL"),
        region=region or environment["AWS_REGION"],
        key_id=environment.get("AWS_ACCESS_KEY_ID"),
        secret=environment.get("AWS_SECRET_ACCESS_KEY"),
        token=environment.get("AWS_SESSION_TOKEN"),
    )


@dataclass(frozen=True)
class AccessKey:
    """What a client signs its requests with."""

    key_id: str
    secret: str

    @classmethod
    def of(cls, account: str) -> AccessKey:
        """Return the key of an account: 20 characters, as AWS's keys have."""
        return cls(f"AKIASBOX{account}", f"sandbox-secret-of-account-{account}")


def create_user(account: str) -> None:
    """Make the account's user and its key, unless a restored state has them already."""
    # Imported here: moto takes half a second, and whoever only wants a key does without.
    from moto.iam.models import iam_backends

    backend = iam_backends[account]["aws"]
    key = AccessKey.of(account)
    if key.key_id in backend.access_keys:
        return
    backend.create_user("us-east-1", USER_NAME)
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    backend.put_user_policy(USER_NAME, "administrator", policy)
    created = backend.create_access_key(USER_NAME)
    del backend.access_keys[created.access_key_id]
    created.access_key_id, created.secret_access_key = key.key_id, key.secret
    backend.access_keys[key.key_id] = created


def environment(account: str, region: str, endpoint_url: str) -> dict[str, str]:
    """Return the variables that point any AWS client at the sandbox, and away from everything else."""
    key = AccessKey.of(account)
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        # A person's own profiles, and the keys of the machine, must not be found by accident.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A proxy cannot reach this machine's loopback.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
