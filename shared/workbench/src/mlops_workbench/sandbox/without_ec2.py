"""moto's services that would import its EC2, imported without it.

EC2 reads all instance types and zones of all Regions: 0.9 s of the 1.5 s of processor time that it took to
import what a sandbox needs. Scalable targets need it, as one may be an ECS service, and commands that SSM
sends to instances; it is imported when the first of these is made.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Later:
    """The backends of a service of moto's, which is imported when they are asked for."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __getitem__(self, account: str) -> Any:
        return getattr(importlib.import_module(self._module), self._name)[account]


def _import(models: str, left_out: str, backends: str) -> ModuleType:
    """Import a module that takes no more than ``backends`` from the module that is left out."""
    if models in sys.modules or left_out in sys.modules:
        return importlib.import_module(models)
    stand_in = ModuleType(left_out)
    vars(stand_in)[backends] = _Later(f"{left_out}.models", backends)
    sys.modules[left_out] = stand_in
    try:
        return importlib.import_module(models)
    finally:
        # Whoever imports it from now on gets it.
        del sys.modules[left_out]


scaling: Any = _import("moto.applicationautoscaling.models", "moto.ecs", "ecs_backends")
ssm: Any = _import("moto.ssm.models", "moto.ec2", "ec2_backends")
