"""A pipeline's artifact store: zips in its bucket, encrypted with its key."""

from __future__ import annotations

import secrets
import string
from typing import Any

from mlops_workbench.sandbox.delivery.executions import Artifact, Execution

_ALPHABET = string.ascii_letters + string.digits


class ArtifactStore:
    """The store of one execution in one region."""

    def __init__(self, execution: Execution, region: str) -> None:
        """Find the store.

        Raises:
            LookupError: the pipeline has none in this region.
        """
        stores: dict[str, Any] = execution.pipeline.get("artifactStores") or {}
        single = execution.pipeline.get("artifactStore")
        settings = stores.get(region) or (single if region == execution.region else None)
        if settings is None:
            raise LookupError(f"the pipeline has no artifact store in {region}")
        self._pipeline = execution.name
        self.bucket: str = settings["location"]
        #: The ARN or id of the KMS key; None for the key that S3 has of its own.
        self.key_id: str | None = (settings.get("encryptionKey") or {}).get("id")

    def place(self, name: str, revision: str = "") -> Artifact:
        """Return where an artifact of this name goes; the key has the service's form."""
        suffix = "".join(secrets.choice(_ALPHABET) for _ in range(7))
        return Artifact(name, self.bucket, f"{self._pipeline[:20]}/{name[:10]}/{suffix}", revision)

    @property
    def encryption(self) -> dict[str, str]:
        """Return what PutObject and CopyObject are to be told."""
        key = {"SSEKMSKeyId": self.key_id} if self.key_id else {}
        return {"ServerSideEncryption": "aws:kms", **key}
