"""EventBridge's calls: PutEvents, PutTargets, and what patterns match.

moto delivers within PutEvents, to some targets, and answers 500 for the others; here deliveries go on in
threads, to those of ``targets``. It lets an operator that does not exist match everything, so that a
misspelt one is found on AWS only; it does not look into lists of objects; and its wildcard stops at the
end of a line, which a key may hold. It does not look at the limits of a pipeline's parameters: an
underscore in a name is taken by CreatePipeline and by StartPipelineExecution, and refused by EventBridge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from moto.events.exceptions import InvalidEventPatternException, ValidationException
from moto.events.models import EventPattern, EventPatternParser, EventsBackend, Rule

from mlops_workbench.sandbox import constraints
from mlops_workbench.sandbox.services.events.bus import event_of, put

#: [read] Amazon EventBridge user guide, "Comparison operators".
_OPERATORS = (
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
)
_WITHIN_ANYTHING_BUT = ("equals-ignore-case", "prefix", "suffix", "wildcard")
_COMPARISONS = ("<", "<=", "=", ">=", ">")
_KEY = "SageMakerPipelineParameters"


def check(pattern: Any, path: str = "") -> None:
    """Refuse what PutRule refuses.

    Raises:
        InvalidEventPatternException: an operator that does not exist, a wildcard with two stars in a row, a
            value that is neither an object nor a list.
    """
    if not isinstance(pattern, Mapping):
        raise InvalidEventPatternException(reason=f"{path or 'Filter'} is not an object")
    for name, value in pattern.items():
        here = f"{path}.{name}" if path else name
        if name == "$or":
            if not isinstance(value, list) or len(value) < 2:
                raise InvalidEventPatternException(reason="$or must be an array of two or more objects")
            for branch in value:
                check(branch, path)
        elif isinstance(value, Mapping):
            check(value, here)
        elif not isinstance(value, list) or not value:
            raise InvalidEventPatternException(reason=f"'{here}' must be an object or a non-empty array")
        else:
            for entry in value:
                _check_filter(entry, here)


def _check_filter(entry: Any, path: str) -> None:
    if isinstance(entry, list):
        raise InvalidEventPatternException(reason=f"{path}: a match value must be a text, a number or null")
    if not isinstance(entry, Mapping):
        return
    if len(entry) != 1:
        raise InvalidEventPatternException(reason=f"{path}: only one key allowed in match expression")
    ((operator, value),) = entry.items()
    if operator not in _OPERATORS:
        raise InvalidEventPatternException(reason=f"{path}: unrecognized match type {operator}")
    if operator == "exists" and not isinstance(value, bool):
        raise InvalidEventPatternException(reason=f"{path}: exists must be true or false")
    if operator == "numeric":
        _check_numeric(value, path)
    elif operator == "anything-but":
        _check_anything_but(value, path)
    elif operator in ("prefix", "suffix", "wildcard", "equals-ignore-case"):
        ignoring_case = operator in ("prefix", "suffix") and isinstance(value, Mapping)
        if ignoring_case and list(value) != ["equals-ignore-case"]:
            raise InvalidEventPatternException(reason=f"{path}: unsupported {operator} pattern")
        _check_text(operator, value["equals-ignore-case"] if ignoring_case else value, path)


def _check_anything_but(value: Any, path: str) -> None:
    """Check a value, a list of values of one kind, or one operator with a text or several."""
    if isinstance(value, Mapping):
        if len(value) != 1 or next(iter(value)) not in _WITHIN_ANYTHING_BUT:
            raise InvalidEventPatternException(reason=f"{path}: unsupported anything-but pattern")
        ((operator, texts),) = value.items()
        if texts == []:
            raise InvalidEventPatternException(reason=f"{path}: {operator} must not be empty")
        for text in texts if isinstance(texts, list) else [texts]:
            _check_text(operator, text, path)
        return
    values = value if isinstance(value, list) else [value]
    kinds = {_kind(each) for each in values}
    if len(kinds) != 1 or not kinds <= {"text", "number"}:
        raise InvalidEventPatternException(reason=f"{path}: anything-but takes texts or numbers, not both")


def _check_text(operator: str, value: Any, path: str) -> None:
    if not isinstance(value, str):
        raise InvalidEventPatternException(reason=f"{path}: {operator} match pattern must be a string")
    if operator == "wildcard" and "**" in value:
        raise InvalidEventPatternException(reason=f"{path}: consecutive wildcard characters")


def _check_numeric(value: Any, path: str) -> None:
    """Check one comparison, or the two of a range: ``[">", 0, "<=", 5]``."""
    pairs = list(zip(value[::2], value[1::2], strict=False)) if isinstance(value, list) else []
    whole = isinstance(value, list) and len(value) in (2, 4)
    if not whole or any(sign not in _COMPARISONS or _kind(number) != "number" for sign, number in pairs):
        raise InvalidEventPatternException(
            reason=f'{path}: numeric takes one comparison, or two, such as [">", 0, "<=", 5]'
        )


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else "other"


def _wildcard_match(item: Any, pattern: str) -> bool:
    r"""Tell whether a text fits; ``*`` is any number of characters, ``\*`` and ``\\`` are themselves."""
    if not isinstance(item, str):
        return False
    parts = re.findall(r"\\[*\\]|.", pattern, re.DOTALL)
    expression = "".join(".*" if part == "*" else re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, item, re.DOTALL) is not None


def matches(pattern: EventPattern, event: Mapping[str, Any]) -> bool:
    """Tell whether a pattern matches, lists of objects included: one of the objects must fit."""
    found = pattern.get_pattern()
    return not found or _matches(pattern, found, json.loads(json.dumps(event)))


def _matches(moto: EventPattern, pattern: Mapping[str, Any], node: Any) -> bool:
    if isinstance(node, list):
        return any(_matches(moto, pattern, item) for item in node)
    fields: Mapping[str, Any] = node if isinstance(node, Mapping) else {}
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(_matches(moto, branch, node) for branch in wanted):
                return False
        elif isinstance(wanted, Mapping):
            if not _matches(moto, wanted, fields.get(name)):
                return False
        else:
            # An object is not a leaf: `exists` and every value look at leaves only.
            leaf = {name: fields[name]} if name in fields and not isinstance(fields[name], Mapping) else {}
            if not moto._does_event_match(leaf, {name: wanted}):
                return False
    return True


def _install_patterns() -> None:
    """Replace moto's check and its comparison."""

    def parse(self: EventPatternParser) -> dict[str, Any]:
        if not self.pattern:
            return {}
        try:
            parsed: dict[str, Any] = json.loads(self.pattern)
        except ValueError:
            raise InvalidEventPatternException(reason="Invalid JSON") from None
        check(parsed)
        return parsed

    EventPatternParser.parse = parse  # type: ignore[method-assign]
    EventPattern.matches_event = matches  # type: ignore[assignment,method-assign]
    EventPattern._wildcard_match = staticmethod(_wildcard_match)  # type: ignore[method-assign]


@cache
def _shape() -> Any:
    service: Any = botocore.session.get_session().get_service_model("events")
    return service.operation_model("PutTargets").input_shape.members["Targets"].member.members[_KEY]


def _install_targets() -> None:
    """Check targets before moto keeps them."""
    put = EventsBackend.put_targets

    def put_targets(
        self: EventsBackend, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]
    ) -> None:
        for target in targets:
            for path, message in constraints.problems(_shape(), target.get(_KEY) or {}, _KEY):
                raise ValidationException(f"target {target['Id']}: {path}: {message}")
        put(self, name, event_bus_arn, targets)

    EventsBackend.put_targets = put_targets  # type: ignore[method-assign]


def _install_delivery() -> None:
    """Replace what sends an event to a rule's targets."""
    check = EventsBackend.put_events

    def put_events(self: EventsBackend, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # moto checks the entries; its own rules send nothing.
        entries = check(self, events)
        for entry, given in zip(entries, events, strict=True):
            if "EventId" not in entry:
                continue
            event = event_of(
                self.account_id,
                self.region_name,
                given["Source"],
                given["DetailType"],
                json.loads(given["Detail"]),
                given.get("Resources") or (),
                _time(given.get("Time")),
            )
            event["id"] = entry["EventId"]
            put(self.account_id, self.region_name, event, _bus(given.get("EventBusName")))
        return entries

    def send_to_targets(self: Rule, original_event: Any, transform_input: bool = True) -> None:
        pass

    EventsBackend.put_events = put_events  # type: ignore[method-assign]
    Rule.send_to_targets = send_to_targets  # type: ignore[method-assign]


def _bus(name_or_arn: str | None) -> str:
    return (name_or_arn or "default").rsplit("/", 1)[-1]


def _time(given: Any) -> datetime | None:
    if given in (None, ""):
        return None
    if isinstance(given, str):
        return datetime.fromisoformat(given.replace("Z", "+00:00"))
    return given if isinstance(given, datetime) else datetime.fromtimestamp(float(given), UTC)


def install() -> None:
    """Patch moto."""
    _install_patterns()
    _install_targets()
    _install_delivery()
