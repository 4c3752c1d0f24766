"""The state of the emulated accounts, kept across processes."""

from mlops_sandbox.state.pickling import reset
from mlops_sandbox.state.saver import Saver
from mlops_sandbox.state.store import Store

__all__ = ["Saver", "Store", "reset"]
