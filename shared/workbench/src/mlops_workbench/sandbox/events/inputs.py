"""What a target receives: the event, a part of it, a constant, or a template filled in.

[read] Amazon EventBridge user guide, "Input transformation": an unquoted variable becomes JSON, with quotes
if it is a text; within a quoted text it is put in as it is; a path that is not there gives no text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"\.([\w-]+)|\[(\d+|\*)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_VARIABLE = re.compile(r"<([\w.-]+)>")
_MISSING = object()


class InputError(Exception):
    """The input cannot be made; the event goes to the target's dead-letter queue."""


def find(event: Any, path: str) -> Any:
    """Return what a JSONPath (``$.detail.object.key``, ``$.resources[0]``) points at.

    Raises:
        InputError: it is not a path that EventBridge takes.
        KeyError: there is nothing.
    """
    found = _find(event, path)
    if found is _MISSING:
        raise KeyError(path)
    return found


def _find(event: Any, path: str) -> Any:
    if not path.startswith("$"):
        raise InputError(f"expected a JSONPath that begins with $, got {path!r}")
    node, at = event, 1
    while at < len(path):
        step = _STEP.match(path, at)
        if not step:
            raise InputError(f"expected a JSONPath of names and indexes, got {path!r}")
        at = step.end()
        name, index = step[1] or step[3] or step[4], step[2]
        if name is not None:
            if not isinstance(node, Mapping) or name not in node:
                return _MISSING
            node = node[name]
        elif not isinstance(node, list):
            return _MISSING
        elif index == "*":
            rest = "$" + path[at:]
            found = [_find(item, rest) for item in node]
            return [item for item in found if item is not _MISSING]
        elif int(index) >= len(node):
            return _MISSING
        else:
            node = node[int(index)]
    return node


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str) -> str:
    """Return the text that a target receives for an event.

    Args:
        target: as PutTargets took it.
        event: in the form of its JSON.
        rule_arn: of the rule that matched, for the variables that name it.

    Raises:
        InputError: a template does not give JSON, or a path is not one.
    """
    if target.get("Input") is not None:
        return str(target["Input"])
    if target.get("InputPath"):
        found = _find(event, target["InputPath"])
        return json.dumps(None if found is _MISSING else found)
    if transformer := target.get("InputTransformer"):
        values = {
            "aws.events.rule-arn": rule_arn,
            "aws.events.rule-name": rule_arn.rsplit("/", 1)[-1],
            "aws.events.event.ingestion-time": event["time"],
            "aws.events.event.json": dict(event),
            "aws.events.event": {key: value for key, value in event.items() if key != "detail"},
        }
        for name, path in (transformer.get("InputPathsMap") or {}).items():
            if (value := _find(event, path)) is not _MISSING:
                values[name] = value
        return fill(transformer["InputTemplate"], values)
    return json.dumps(event)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its variables replaced.

    Raises:
        InputError: the result is neither JSON nor lines of quoted text.
    """
    parts, at, quoted = [], 0, False
    while at < len(template):
        character = template[at]
        if character == "\\" and quoted:
            parts.append(template[at : at + 2])
            at += 2
            continue
        if character == '"':
            quoted = not quoted
        if character == "<" and (variable := _VARIABLE.match(template, at)):
            value = values.get(variable[1], "")
            parts.append(_within_quotes(value) if quoted else json.dumps(value))
            at = variable.end()
            continue
        parts.append(character)
        at += 1
    text = "".join(parts)
    try:
        json.loads(text)
    except ValueError:
        # Several quoted lines are allowed; each is JSON of its own.
        try:
            for line in text.strip().splitlines():
                json.loads(line)
        except ValueError:
            raise InputError(f"the input template gives no JSON: {text}") from None
    return text


def _within_quotes(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)[1:-1]
    # An object within a text loses its quotation marks.
    return json.dumps(value, separators=(",", ":")).replace("\\", "").replace('"', "")
