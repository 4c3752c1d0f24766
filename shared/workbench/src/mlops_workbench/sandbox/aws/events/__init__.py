"""Amazon EventBridge: what moto's lacks."""

from mlops_workbench.sandbox.aws.events import delivery, patterns, targets


def install() -> None:
    """Patch moto."""
    delivery.install()
    patterns.install()
    targets.install()
