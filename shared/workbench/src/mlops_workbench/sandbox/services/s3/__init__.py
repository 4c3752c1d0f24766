"""Amazon S3: events, bucket policies, versions and ranges as the templates need them."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Service
from mlops_workbench.sandbox.services.s3 import calls


class S3(Service):
    """Buckets and objects."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()


SERVICE = S3()
