"""Policy documents, read into statements whose elements are always lists."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.errors import PolicyError


@dataclass(frozen=True)
class Condition:
    """One operator, one key, and the values that the policy gives for it."""

    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Statement:
    """A statement; what the document does not have is ``None``.

    Attributes:
        principals: kind ("AWS", "Service", "Federated", "*") to its values.
    """

    allow: bool
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: Mapping[str, tuple[str, ...]] | None
    not_principals: Mapping[str, tuple[str, ...]] | None
    conditions: tuple[Condition, ...]


Policy = tuple[Statement, ...]


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Policy:
    """Read a document.

    Raises:
        PolicyError: it is not JSON, or a statement has no effect that IAM knows.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PolicyError(f"policy: expected JSON: {error}") from None
    return tuple(_statement(each) for each in _list(document.get("Statement", [])))


def without_keys(policy: Policy, keys: Iterable[str]) -> Policy:
    """Return the policy without its conditions on these keys, which are in lower case."""
    left_out = set(keys)
    return tuple(
        Statement(
            **{
                **vars(statement),
                "conditions": tuple(c for c in statement.conditions if c.key.lower() not in left_out),
            }
        )
        for statement in policy
    )


def _statement(document: Mapping[str, Any]) -> Statement:
    effect = document.get("Effect")
    if effect not in ("Allow", "Deny"):
        raise PolicyError(f"policy: Effect: expected Allow or Deny, got {effect!r}")
    conditions = tuple(
        Condition(operator, key, tuple(_text(value) for value in _list(values)))
        for operator, keys in document.get("Condition", {}).items()
        for key, values in keys.items()
    )
    return Statement(
        allow=effect == "Allow",
        actions=_strings(document.get("Action")),
        not_actions=_strings(document.get("NotAction")),
        resources=_strings(document.get("Resource")),
        not_resources=_strings(document.get("NotResource")),
        principals=_principals(document.get("Principal")),
        not_principals=_principals(document.get("NotPrincipal")),
        conditions=conditions,
    )


def _principals(element: Any) -> Mapping[str, tuple[str, ...]] | None:
    if element is None:
        return None
    if isinstance(element, str):
        return {element: (element,)}
    return {kind: tuple(_list(values)) for kind, values in element.items()}


def _strings(element: Any) -> tuple[str, ...] | None:
    return None if element is None else tuple(_list(element))


def _list(element: Any) -> list[Any]:
    return element if isinstance(element, list) else [element]


def _text(value: Any) -> str:
    # JSON's true in a document means the string "true".
    return str(value).lower() if isinstance(value, bool) else str(value)
