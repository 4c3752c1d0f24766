"""JSON, one value on a line, in UTF-8."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

DEEPEST = 100
"""How deep a value may be nested. Python's own limit depends on its version and on who calls."""

# Half of a surrogate pair has no UTF-8. The others end a line for Python's str.splitlines and for some tools,
# though not in JSON Lines. Escaped, each is the same character for whoever reads the JSON.
_ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")

dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
"""Return a value as JSON.

It raises ValueError for infinity, which is what Python makes of the number 1e400.
"""


def to_bytes(text: str) -> bytes:
    """Return JSON as UTF-8 that any reader takes for one line."""
    if not text.isascii():
        text = _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode()


def load(text: str) -> Any:
    """Return the value of a JSON text.

    Of equal keys in an object the last counts, as it does where the model is served.

    Raises:
        ValueError: it is not JSON (NaN and Infinity are not), or nested deeper than ``DEEPEST``.
    """
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(error.msg[:1].lower() + error.msg[1:]) from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


_TOO_DEEP = f"nested more than {DEEPEST} deep"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


_decode = json.JSONDecoder(parse_constant=_refuse).decode


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True
