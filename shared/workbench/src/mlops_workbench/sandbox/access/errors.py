"""Why a call is refused."""

from __future__ import annotations


class AccessDenied(Exception):
    """A principal may not do what it asked for; the message is the one that AWS gives."""


class PolicyError(AccessDenied):
    """A policy document that IAM would not accept: what it would say is not known, so it allows nothing."""
