"""The signature of a webhook: `X-Hub-Signature: sha256=<hex>`, HMAC-SHA256 of the raw body."""

import hashlib
import hmac


def sign(secret: bytes, body: bytes) -> str:
    """Return what the header says for this body, as Bitbucket writes it."""
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def matches(secret: bytes, body: bytes, header: str | None) -> bool:
    """Tell whether the header signs the body, in a time that does not depend on where the two differ.

    No header, another algorithm and another length are simply no match.
    """
    # Bytes: compare_digest refuses text that is not ASCII, and the header is whatever somebody sent.
    return hmac.compare_digest(sign(secret, body).encode(), (header or "").encode("utf-8", "replace"))
