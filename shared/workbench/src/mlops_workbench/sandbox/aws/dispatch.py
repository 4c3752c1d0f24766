"""What moto looks up again and again, looked up once.

For every request moto 5.2.5 lists its own folder, 200 entries, each asked whether it is a folder, to tell a
service by the request's host; and all methods of a service's class, to tell whether it has a call. To read
botocore's file of one service it looks for those of all; it reads that file twice, and lists the service's
Regions anew for each account.
"""

from __future__ import annotations

import functools
from typing import Any

import botocore.session
from moto import backends
from moto.core import loaders, responses, utils
from moto.core.base_backend import AccountSpecificBackend


def install() -> None:
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
