"""Amazon SQS: what moto's lacks."""

from mlops_workbench.sandbox.aws.sqs import attributes


def install() -> None:
    """Patch moto."""
    attributes.install()
