"""Amazon S3: what moto's lacks."""

from mlops_workbench.sandbox.aws.s3 import notifications, objects, policies, ranges


def install() -> None:
    """Patch moto."""
    notifications.install()
    objects.install()
    policies.install()
    ranges.install()
