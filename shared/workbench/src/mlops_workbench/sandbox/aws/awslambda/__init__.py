"""AWS Lambda: what moto's lacks."""

from mlops_workbench.sandbox.aws.awslambda import configuration, invocations, mappings


def install() -> None:
    """Patch moto."""
    configuration.install()
    invocations.install()
    mappings.install()
