"""AWS Lambda: what moto's lacks."""

from mlops_sandbox.aws.awslambda import invocations


def install() -> None:
    """Patch moto."""
    invocations.install()
