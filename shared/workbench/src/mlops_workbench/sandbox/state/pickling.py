"""moto's state as bytes and back.

moto has no snapshots of its own. Its backends are plain Python objects, though, and pickle keeps them
whole, with every attribute and shared reference, for every service, at 20 lines where a service-by-service
export over the API would lose what the API does not show (version ids, creation times, keys of assumed
roles). The price is that a snapshot fits one version of moto and Python only; ``store`` sees to that.

Some objects get care: backends (a reference to the live one instead of a copy), what pickle refuses, and
the bytes of S3 objects. These are in one file for each different content, named by its SHA-256: a model of
90 MB is written once, however many snapshots, keys and versions refer to it, and a restored sandbox reads
it from there instead of holding it in memory.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import marshal
import os
import pickle
import tempfile
import threading
import types
import weakref
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

from moto.core.base_backend import BackendDict, BaseBackend
from moto.core.model_instances import reset_model_data
from moto.s3.models import FakeKey, s3_backends

_CHUNK = 1 << 20
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
#: Where a backend lives: module, name of the dictionary in it, account, region.
Address = tuple[str, str, str, str]


class KeptBytes:
    """A kept file as moto's S3 keys use their buffer: seek, read, close.

    The file is opened for each read, so that ten thousand objects do not need ten thousand descriptors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    @property
    def digest(self) -> str:
        """Return the content's SHA-256, in hexadecimal."""
        return self.path.name

    def seek(self, position: int) -> int:
        """Set where the next read starts, in bytes from the beginning."""
        self._position = position
        return position

    def read(self, size: int = -1) -> bytes:
        """Read ``size`` bytes, or all that is left."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Do nothing: no file is held open."""


class Objects:
    """The folder of kept files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, source: BinaryIO) -> KeptBytes:
        """Copy a stream, from its start, into the folder, unless its content is there already."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        source.seek(0)
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix="new-")
        try:
            with os.fdopen(descriptor, "wb") as target:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
            path = self.folder / digest.hexdigest()
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        return KeptBytes(path)

    def get(self, digest: str) -> KeptBytes:
        """Return a kept content.

        Raises:
            FileNotFoundError: it is not there.
        """
        path = self.folder / digest
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the bytes of an object are missing")
        return KeptBytes(path)

    def remove_all_but(self, digests: Iterable[str]) -> None:
        """Delete the files that no object refers to, and what an interrupted copy left."""
        wanted = set(digests)
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name not in wanted:
                    path.unlink()


def reduce(obj: Any) -> Any:
    """Return what ``pickle.Pickler.reducer_override`` shall: a recipe, or NotImplemented."""
    if isinstance(obj, _LOCKS):
        return type(obj), ()
    if isinstance(obj, weakref.WeakValueDictionary):
        return weakref.WeakValueDictionary, (), None, None, iter(list(obj.items()))
    if isinstance(obj, dict) and type(obj).__module__.startswith("moto."):
        return _new_dict, (type(obj),), _dict_state(obj), None, None, _set_dict_state
    if isinstance(obj, types.FunctionType) and "<locals>" in obj.__qualname__:
        return _reduce_local_function(obj)
    if type(obj).__module__.startswith("cryptography.") and hasattr(obj, "private_bytes"):
        return _reduce_private_key(obj)
    return NotImplemented


def _new_dict(cls: type[dict[Any, Any]]) -> dict[Any, Any]:
    return cls.__new__(cls)


def _dict_state(obj: dict[Any, Any]) -> tuple[dict[str, Any], Any, dict[Any, Any]]:
    return vars(obj), getattr(obj, "default_factory", None), dict(dict.items(obj))


def _set_dict_state(obj: dict[Any, Any], state: tuple[dict[str, Any], Any, dict[Any, Any]]) -> None:
    """Fill a dictionary past its own methods: S3's, for one, shows the newest version of each key only."""
    attributes, factory, items = state
    vars(obj).update(attributes)
    if isinstance(obj, defaultdict):
        obj.default_factory = factory
    dict.update(obj, items)


def _reduce_local_function(function: types.FunctionType) -> Any:
    """By value: default factories are lambdas. The Python that reads a snapshot is the one that wrote it."""
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return _make_function, (
        marshal.dumps(function.__code__),
        function.__module__,
        function.__defaults__,
        cells,
    )


def _make_function(code: bytes, module: str, defaults: Any, cells: tuple[Any, ...]) -> types.FunctionType:
    namespace = vars(importlib.import_module(module))
    closure = tuple(types.CellType(content) for content in cells)
    return types.FunctionType(marshal.loads(code), namespace, None, defaults, closure)


def _reduce_private_key(key: Any) -> Any:
    """KMS keys: PKCS #8 in DER, unencrypted. They protect nothing but this sandbox's own data."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return _load_private_key, (key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)


def _load_private_key(der: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    return load_der_private_key(der, password=None)


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
        return reduce(obj)

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
