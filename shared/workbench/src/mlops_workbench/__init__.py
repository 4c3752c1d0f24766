"""What a laptop needs and AWS does not: the sandbox, doctor, cost, and what registers and publishes."""

__version__ = "0.2.0"
