"""The state of the emulated accounts, kept across processes."""

from mlops_workbench.sandbox.state.pickling import reset
from mlops_workbench.sandbox.state.store import Saver, Store

__all__ = ["Saver", "Store", "reset"]
