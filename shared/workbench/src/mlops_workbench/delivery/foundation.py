"""What the platform engineers' foundation says about itself, in one parameter."""

import json
from typing import Any, NamedTuple

from .errors import DeliveryError

VERSION = 1


class Foundation(NamedTuple):
    """The part of the parameter that registering needs."""

    region: str
    shared_services_account_id: str
    state_bucket: str
    source_bucket: str
    kms_key_arn: str
    bitbucket_hosting: str
    webhook_url: str | None
    webhook_secret_prefix: str
    publisher_role_arn: str | None


def parse(parameter: str, text: str) -> Foundation:
    """The foundation as the parameter describes it.

    Raises:
        DeliveryError: it is of another version, or something is missing.
    """
    try:
        document: Any = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise DeliveryError(f"{parameter}: expected a JSON object, got {text[:60]!r}")
    if document.get("version") != VERSION:
        raise DeliveryError(
            f"{parameter}: expected version {VERSION}, got {document.get('version')!r}; "
            "bring this repository or the foundation up to date"
        )
    optional = {"webhook_url", "publisher_role_arn"}
    missing = [key for key in Foundation._fields if key not in optional and not document.get(key)]
    if missing:
        raise DeliveryError(
            f"{parameter}: expected {', '.join(missing)}, got nothing; apply the foundation again"
        )
    values: dict[str, Any] = {key: document.get(key) for key in Foundation._fields}
    return Foundation(**values)
