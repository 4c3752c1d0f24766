"""STS: roles assumed with a token of an identity provider, such as a build service's OIDC.

moto 5.2.5 lets everybody assume every role, even one that does not exist. AssumeRole is decided on before
it reaches moto (``mlops_workbench.sandbox.iam``); AssumeRoleWithWebIdentity, which is not signed, is
decided on here. The token's signature is not verified: the provider that could confirm it cannot be
reached.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.sts.responses import TokenResponse

from mlops_workbench.sandbox.errors import AccessDenied
from mlops_workbench.sandbox.iam import policies
from mlops_workbench.sandbox.service import Service


class WebIdentityDenied(ServiceException):
    """The role's trust policy does not admit the token."""

    code = "AccessDenied"


class InvalidIdentityToken(ServiceException):
    """The token is not one of a provider that the account knows."""

    code = "InvalidIdentityToken"


def install() -> None:
    """Wrap moto's call."""
    assume = TokenResponse.assume_role_with_web_identity

    def assume_role_with_web_identity(self: TokenResponse) -> ActionResult:
        role_arn = self._get_param("RoleArn")
        claims = _claims(self._get_param("WebIdentityToken"))
        host = str(claims.get("iss", "")).removeprefix("https://")
        account = policies.account_of(role_arn)
        provider = f"arn:aws:iam::{account}:oidc-provider/{host}"
        if provider not in iam_backends[account][policies.PARTITION].open_id_providers:
            raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for https://{host}")
        try:
            policies.check_web_identity(role_arn, provider, {f"{host}:{key}": v for key, v in claims.items()})
        except AccessDenied as denied:
            raise WebIdentityDenied(str(denied)) from None
        return assume(self)

    TokenResponse.assume_role_with_web_identity = assume_role_with_web_identity  # type: ignore[method-assign]


def _claims(token: str | None) -> dict[str, Any]:
    try:
        part = str(token).split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        raise InvalidIdentityToken("Couldn't retrieve verification key: the token is not a JWT") from None
    return claims


class Sts(Service):
    """Sessions of roles."""

    def install(self) -> None:
        """Patch moto."""
        install()


SERVICE = Sts()
