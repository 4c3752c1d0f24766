"""IAM: what moto's lacks, which is to decide on requests; see ``mlops_workbench.sandbox.access``."""

from mlops_workbench.sandbox.access import guard


def install() -> None:
    """Patch moto."""
    guard.install()
