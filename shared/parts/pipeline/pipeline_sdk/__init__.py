"""SageMaker pipelines, written as plain requests in the SDK's graph (steps.py, which alone needs the SDK)."""

import atexit
import gc
import re

# Families with storage inside the instance: a d after the generation (m5d, g4dn, p4d), and accelerated ones.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html
_LOCAL_STORAGE = re.compile(r"^ml\.([a-z]+\d+[a-z]*d[a-z]*|g5|g6e?|gr6|p5[a-z]*|p6[a-z0-9-]*|trn\d[a-z]*)\.")


def has_own_storage(instance_type: str) -> bool:
    """Whether the service refuses a key for the volume of this instance type."""
    return _LOCAL_STORAGE.match(instance_type) is not None


def load_quickly() -> None:
    """Arrange the start of a command: loading libraries is most of it, the SDK's above all.

    That makes half a million objects and no garbage. Python would look for garbage after each 700 of them,
    and among all of them at the end: half of the processor time that a pipeline's definition takes.
    """
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
