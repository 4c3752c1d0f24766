"""Amazon SQS: what moto's lacks."""

from mlops_sandbox.aws.sqs import attributes


def install() -> None:
    """Patch moto."""
    attributes.install()
