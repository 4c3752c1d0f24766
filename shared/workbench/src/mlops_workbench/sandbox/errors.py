"""The error that the sandbox shows to a person."""


class SandboxError(Exception):
    """The sandbox cannot be used as asked; the message is one line."""
