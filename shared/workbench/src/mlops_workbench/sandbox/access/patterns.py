"""Wildcards and policy variables."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

#: Condition keys in lower case, each with the request's values for it.
Context = Mapping[str, tuple[str, ...]]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def context_of(values: Mapping[str, str | bool | list[str] | tuple[str, ...] | None]) -> Context:
    """Return the context of a request; a value of ``None`` means that the key is absent."""
    context: dict[str, tuple[str, ...]] = {}
    for key, value in values.items():
        if isinstance(value, bool):
            context[key.lower()] = (str(value).lower(),)
        elif isinstance(value, str):
            context[key.lower()] = (value,)
        elif value is not None:
            context[key.lower()] = tuple(value)
    return context


def matches(pattern: str, value: str, context: Context, *, ignore_case: bool = False) -> bool:
    """Whether a value fits a pattern with ``*``, ``?`` and policy variables."""
    expression = _expression(pattern, context)
    if expression is None:
        return False
    return bool(_compiled(expression, ignore_case).fullmatch(value))


def expand(text: str, context: Context) -> str | None:
    """Return a value with its policy variables replaced, or ``None`` if one of them is absent."""
    absent = False

    def replace(found: re.Match[str]) -> str:
        nonlocal absent
        value = _variable(found[1], context)
        absent = absent or value is None
        return value or ""

    replaced = _VARIABLE.sub(replace, text)
    return None if absent else replaced


def arn_matches(pattern: str, arn: str, context: Context) -> bool:
    """Compare ARNs as ``ArnLike`` does: a wildcard does not reach over the first five colons."""
    patterns, parts = pattern.split(":", 5), arn.split(":", 5)
    if pattern == "*":
        return True
    return len(patterns) == len(parts) == 6 and all(
        matches(each, part, context) for each, part in zip(patterns, parts, strict=True)
    )


def _expression(pattern: str, context: Context) -> str | None:
    """Return a regular expression; ``None`` if a policy variable has no value, since nothing fits then."""
    expression, position = "", 0
    for found in _VARIABLE.finditer(pattern):
        value = _variable(found[1], context)
        if value is None:
            return None
        expression += _glob(pattern[position : found.start()]) + re.escape(value)
        position = found.end()
    return expression + _glob(pattern[position:])


def _glob(text: str) -> str:
    return re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")


def _variable(name: str, context: Context) -> str | None:
    name, _, default = name.partition(",")
    name = name.strip()
    if name in ("*", "?", "$"):
        return name
    values = context.get(name.lower())
    if values and len(values) == 1:
        return values[0]
    default = default.strip()
    return default[1:-1] if len(default) > 1 and default[0] == default[-1] == "'" else None


@functools.lru_cache(maxsize=4096)
def _compiled(expression: str, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
