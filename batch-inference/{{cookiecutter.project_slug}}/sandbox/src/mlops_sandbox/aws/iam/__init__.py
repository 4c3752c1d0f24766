"""IAM: what moto's lacks, which is to decide on requests; see ``mlops_sandbox.access``."""

from mlops_sandbox.access import guard


def install() -> None:
    """Patch moto."""
    guard.install()
