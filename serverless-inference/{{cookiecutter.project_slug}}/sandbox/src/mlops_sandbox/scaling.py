"""moto's Application Auto Scaling, imported without its ECS.

moto's ECS imports its EC2, which reads all instance types and zones of all Regions: 0.9 s of the 1.5 s of
processor time that a process took to import what a sandbox needs. Only scalable targets ask for ECS, so it is
imported when the first one is made.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Later:
    """moto's ``ecs_backends``, imported when a backend is asked for."""

    def __getitem__(self, account: str) -> Any:
        return importlib.import_module("moto.ecs.models").ecs_backends[account]


def _import_models() -> ModuleType:
    name = "moto.applicationautoscaling.models"
    if name in sys.modules or "moto.ecs" in sys.modules:
        return importlib.import_module(name)
    stand_in = ModuleType("moto.ecs")
    vars(stand_in)["ecs_backends"] = _Later()
    sys.modules["moto.ecs"] = stand_in
    try:
        return importlib.import_module(name)
    finally:
        # Whoever imports moto's ECS from now on gets it.
        del sys.modules["moto.ecs"]


models: Any = _import_models()
