"""How to pickle the few kinds of objects in moto's state that pickle refuses."""

from __future__ import annotations

import importlib
import marshal
import threading
import types
import weakref
from collections import defaultdict
from typing import Any

_LOCKS = (type(threading.Lock()), type(threading.RLock()))


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
