"""moto's state as bytes and back.

moto has no snapshots of its own. Its backends are plain Python objects, though, and pickle keeps them
whole, with every attribute and shared reference, for every service, at 20 lines where a service-by-service
export over the API would lose what the API does not show (version ids, creation times, keys of assumed
roles). The price is that a snapshot fits one version of moto and Python only; ``store`` sees to that.

Some objects get care: backends (a reference to the live one instead of a copy), the bytes of S3 objects
(kept in files of their own), and what pickle refuses (``unpicklable``).
"""

from __future__ import annotations

import importlib
import io
import pickle
import threading
from typing import Any, cast

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.model_instances import reset_model_data
from moto.s3.models import FakeKey, s3_backends

from mlops_workbench.sandbox.state import unpicklable
from mlops_workbench.sandbox.state.objects import KeptBytes, Objects

#: Where a backend lives: module, name of the dictionary in it, account, region.
Address = tuple[str, str, str, str]


def reset() -> None:
    """Forget all state, as if moto had just been imported."""
    BackendDict.reset()
    s3_backends.bucket_accounts.clear()
    reset_model_data()


def dump(objects: Objects) -> tuple[dict[str, bytes], set[str], list[str]]:
    """Pickle all services.

    Returns:
        pickles: by service, each a list of (address, attributes); unpickle with ``load``.
        digests: the contents in ``objects`` that they refer to.
        lost: one line for each service that cannot be kept, with the reason.
    """
    addresses = {id(backend): address for address, backend in _backends()}
    services: dict[str, list[tuple[Address, dict[str, Any]]]] = {}
    for address, backend in _backends():
        services.setdefault(address[0], []).append((address, vars(backend)))
    pickles: dict[str, bytes] = {}
    digests: set[str] = set()
    lost: list[str] = []
    for service, backends in services.items():
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, objects, addresses)
        try:
            pickler.dump(backends)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            lost.append(f"{service.split('.')[1]}: {error}")
            continue
        pickles[service] = buffer.getvalue()
        digests |= pickler.digests
    return pickles, digests, lost


def load(pickles: dict[str, bytes], objects: Objects) -> None:
    """Put pickled services back into moto; the state must have been reset before."""
    for data in pickles.values():
        for address, attributes in _Unpickler(io.BytesIO(data), objects).load():
            vars(_find(address)).update(attributes)
    for account, by_partition in s3_backends.items():
        for partition, backend in by_partition.items():
            for name in backend.buckets:
                # Bucket names are unique over all accounts; moto keeps that index beside its backends.
                s3_backends.bucket_accounts[name] = (partition, account)


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, objects: Objects, addresses: dict[int, Address]) -> None:
        super().__init__(file, protocol=5)
        self.digests: set[str] = set()
        self._objects = objects
        self._addresses = addresses

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, BaseBackend):
            address = self._addresses.get(id(obj))
            return ("backend", address) if address else None
        if isinstance(obj, KeptBytes):
            self.digests.add(obj.digest)
            return "object", obj.digest
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, FakeKey):
            return _new_key, (), self._key_state(obj), None, None, _set_key_state
        return unpicklable.reduce(obj)

    def _key_state(self, key: FakeKey) -> dict[str, Any]:
        written = key._value_buffer
        if not isinstance(written, KeptBytes):
            # A key that has been disposed of (the parts of a finished upload) has a closed buffer.
            content = io.BytesIO() if key.disposed else written
            key._value_buffer = self._objects.keep(content)  # type: ignore[arg-type,assignment]
            written.close()
        return {name: value for name, value in vars(key).items() if name != "lock"}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, objects: Objects) -> None:
        super().__init__(file)
        self._objects = objects

    def persistent_load(self, pid: Any) -> Any:
        kind, value = pid
        return self._objects.get(value) if kind == "object" else _find(value)


def _new_key() -> FakeKey:
    key: Any = FakeKey.__new__(FakeKey)
    key.disposed = True  # until it has its state: moto's __del__ reads it
    return cast(FakeKey, key)


def _set_key_state(key: FakeKey, state: dict[str, Any]) -> None:
    vars(key).update(state)
    key.lock = threading.Lock()


def _backends() -> list[tuple[Address, BaseBackend]]:
    found = []
    instances: list[BackendDict[Any]] = list(BackendDict._instances)  # type: ignore[misc]
    for by_account in instances:
        module = by_account.backend.__module__
        name = _name_in(module, by_account)
        for account, region, backend in by_account.iter_backends():
            found.append(((module, name, account, region), backend))
    return found


def _name_in(module: str, by_account: BackendDict[Any]) -> str:
    for name, value in vars(importlib.import_module(module)).items():
        if value is by_account:
            return name
    raise pickle.PicklingError(f"{module} has no name for its backends")


def _find(address: Address) -> BaseBackend:
    module, name, account, region = address
    backend: BaseBackend = getattr(importlib.import_module(module), name)[account][region]
    return backend
