"""boto3 clients for the sandbox, made from one session.

A session reads botocore's data files and each client its service's model: about a third of a second for each
session, a hundredth for a further client of the same. Making a client is not safe in two threads at once;
using one is.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
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
        return _session().client(
            service,
            region_name=region,
            endpoint_url=endpoint_url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=_CONFIG,
        )


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
