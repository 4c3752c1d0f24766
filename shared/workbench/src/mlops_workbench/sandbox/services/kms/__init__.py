"""KMS: key policies.

moto 5.2.5 refuses DescribeKey for any Deny in the key's policy that names the action, whoever it is for and
whatever its condition. Here key policies are decided on before a call reaches moto, for every call, and a
call on another account's key is answered by that account; see ``mlops_workbench.sandbox.iam``.
"""

from __future__ import annotations

import json

from moto.kms.responses import KmsResponse

from mlops_workbench.sandbox.service import Service


def install() -> None:
    """Patch moto."""

    def _validate_key_policy(self: KmsResponse, key_id: str, action: str) -> None:
        pass

    get = KmsResponse.get_key_policy

    def get_key_policy(self: KmsResponse) -> str:
        # The only name that a key's policy can have may be left out.
        self.body = json.dumps({"PolicyName": "default", **json.loads(self.body)})
        return get(self)

    KmsResponse._validate_key_policy = _validate_key_policy  # type: ignore[method-assign]
    KmsResponse.get_key_policy = get_key_policy  # type: ignore[method-assign]


class Kms(Service):
    """Keys."""

    def install(self) -> None:
        """Patch moto."""
        install()


SERVICE = Kms()
