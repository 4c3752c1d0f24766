"""The web page of an organisation, on loopback: it shows, and changes nothing."""

from mlops_workbench.sandbox.console.server import Page, start

__all__ = ["Page", "start"]
