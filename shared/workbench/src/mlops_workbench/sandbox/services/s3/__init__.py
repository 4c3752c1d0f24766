"""Amazon S3: events, bucket policies, versions and ranges as the templates need them."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.s3 import notifications, objects, policies, ranges
from mlops_workbench.sandbox.service import Service


class S3(Service):
    """Buckets and objects."""

    def install(self) -> None:
        """Patch moto."""
        notifications.install()
        objects.install()
        policies.install()
        ranges.install()


SERVICE = S3()
