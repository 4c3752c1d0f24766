"""What moto does slowly or wrongly for every service.

For every request moto 5.2.5 lists its own folder, 200 entries, each asked whether it is a folder, to tell
a service by the request's host; and all methods of a service's class, to tell whether it has a call. To
read botocore's file of one service it looks for those of all; it reads that file twice, and lists the
service's Regions anew for each account. All of that is looked up once here.

A call that moto does not have raises NotImplementedError, which its server turns into a 500: clients then
repeat the call, for minutes in the case of Terraform. Here it is a 400 in the service's own protocol.

Two services would import moto's EC2, which reads all instance types and zones of all Regions: 0.9 s of the
1.5 s of processor time that it took to import what a sandbox needs. Scalable targets need it, as one may
be an ECS service, and commands that SSM sends to instances; it is imported when the first of these is
made.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from types import ModuleType
from typing import Any

import botocore.session
from moto import backends
from moto.core import loaders, responses, utils
from moto.core.base_backend import AccountSpecificBackend
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse


def _install_dispatch() -> None:
    """Keep what is found: none of it changes once the other patches are in, and no request comes before."""
    names = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: names
    # Under the names that moto's modules have them by.
    vars(responses)["method_names_from_class"] = functools.cache(utils.method_names_from_class)
    loader = loaders.create_loader()  # moto's own: it adds to botocore's data
    vars(utils)["create_loader"] = lambda: loader

    def generate_regions(self: AccountSpecificBackend[Any], service_name: str) -> list[str]:
        return list(_regions(service_name))

    AccountSpecificBackend._generate_regions = generate_regions  # type: ignore[assignment,method-assign]


@functools.cache
def _data() -> botocore.session.Session:
    """Return a session that knows the Regions of every service."""
    session = botocore.session.get_session()
    session.get_available_partitions()  # what it makes at first use, made before several threads use it
    return session


@functools.cache
def _regions(service: str) -> tuple[str, ...]:
    return tuple(
        region
        for partition in _data().get_available_partitions()
        for region in _data().get_available_regions(service, partition_name=partition)
    )


class UnknownOperation(ServiceException):
    """The answer to a call that moto does not have."""

    code = "UnknownOperationException"


def _install_refusals() -> None:
    """Patch the dispatcher that nearly all services share; ``loopback.answer_faults`` sees to the others."""
    dispatch = BaseResponse.call_action

    def call_action(self: BaseResponse) -> Any:
        try:
            return dispatch(self)
        except NotImplementedError as error:
            message = f"the sandbox does not have this call: {error}"
            # moto warns of a code that the service's own model does not list.
            warnings.filterwarnings("ignore", message=r"Exception\(UnknownOperation\)")
            return self.serialized(ActionResult(UnknownOperation(message)))

    BaseResponse.call_action = call_action  # type: ignore[method-assign]


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


def install() -> None:
    """Patch moto."""
    _install_dispatch()
    _install_refusals()
