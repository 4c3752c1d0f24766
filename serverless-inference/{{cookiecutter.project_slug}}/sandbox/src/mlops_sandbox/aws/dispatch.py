"""What moto looks up anew for every request, looked up once.

moto 5.2.5 lists its own folder, 200 entries, each asked whether it is a folder, to tell a service by the
request's host; and every method of a service's class, to tell whether it has a call.
"""

from __future__ import annotations

import functools

from moto import backends
from moto.core import responses


def install() -> None:
    """Keep what is found: neither changes once the other patches are in, and no request comes before."""
    names = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: names
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)  # type: ignore[attr-defined]
