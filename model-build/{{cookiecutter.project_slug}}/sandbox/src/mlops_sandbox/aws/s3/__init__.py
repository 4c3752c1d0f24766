"""Amazon S3: what moto's lacks."""

from mlops_sandbox.aws.s3 import objects


def install() -> None:
    """Patch moto."""
    objects.install()
