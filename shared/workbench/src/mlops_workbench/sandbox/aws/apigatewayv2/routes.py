"""Which route of an HTTP API takes a request.

[read] API Gateway developer guide, "Routing API requests": a full match with its method, then with ANY, then
a greedy variable, then $default.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote


@dataclass(frozen=True)
class Match:
    """A route's key and what its variables stand for."""

    key: str
    parameters: dict[str, str]


def match(keys: Iterable[str], method: str, path: str) -> Match | None:
    """Return the route that takes a request, or None.

    Args:
        keys: of the routes, e.g. ``POST /bitbucket/{repository}`` or ``$default``.
        method: e.g. ``POST``.
        path: without the stage, percent-encoded.
    """
    found: list[tuple[tuple[int, int, int], Match]] = []
    for key in keys:
        if key == "$default":
            found.append(((9, 0, 0), Match(key, {})))
            continue
        verb, _, template = key.partition(" ")
        if verb not in (method, "ANY"):
            continue
        fit = re.fullmatch(_expression(template), path)
        if fit is None:
            continue
        variables = {name: unquote(value) for name, value in fit.groupdict().items()}
        greedy = int("+}" in template)
        found.append(((greedy, len(variables), int(verb == "ANY")), Match(key, variables)))
    return min(found, key=lambda entry: entry[0])[1] if found else None


def _expression(template: str) -> str:
    parts = []
    for part in re.split(r"(\{\w+\+?\})", template):
        if part.endswith("+}"):
            parts.append(f"(?P<{part[1:-2]}>.+)")
        elif part.startswith("{"):
            parts.append(f"(?P<{part[1:-1]}>[^/]+)")
        else:
            parts.append(re.escape(part))
    return "".join(parts)
