"""SageMaker pipelines, written as plain requests in the SDK's graph (steps.py, which alone needs the SDK)."""

import re

# Families with storage inside the instance: a d after the generation (m5d, g4dn, p4d), and accelerated ones.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html
_LOCAL_STORAGE = re.compile(r"^ml\.([a-z]+\d+[a-z]*d[a-z]*|g5|g6e?|gr6|p5[a-z]*|p6[a-z0-9-]*|trn\d[a-z]*)\.")


def has_own_storage(instance_type: str) -> bool:
    """Whether the service refuses a key for the volume of this instance type."""
    return _LOCAL_STORAGE.match(instance_type) is not None
