"""One administrator's access key for each account.

moto takes the account of a request from the owner of its access key, so each account gets an IAM user with
a key of its own. The keys are the same in every sandbox: they open nothing but a server on this machine.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

USER_NAME = "sandbox"


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
