"""How the data and the settings of two models differ, from what each of them carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def of_data(live: Mapping[str, Any] | None, candidate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return how the data differ, from both models' data_report.json; None where one is missing."""
    if live is None or candidate is None:
        return None
    sides = {"live": live, "candidate": candidate}
    hashes = {name: side["input"]["content_sha256"] for name, side in sides.items()}
    return {
        "same": hashes["live"] == hashes["candidate"],
        "sha256": hashes,
        "rows": {name: side["input"]["rows"] for name, side in sides.items()},
        "sets": {
            name: {part: figures["texts"] for part, figures in side["sets"].items()}
            for name, side in sides.items()
        },
        "label_mix": _label_mix(live, candidate),
    }


def _label_mix(live: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each label's rows to train on, and its share of its target; the greatest change first."""
    old, new = _targets(live), _targets(candidate)
    mix = [
        {"label": f"{target}: {label}" if target else label, "live": before, "candidate": after}
        for target in dict.fromkeys([*new, *old])
        for label, before, after in _shares(old.get(target, {}), new.get(target, {}))
    ]
    return sorted(mix, key=lambda each: -abs(each["candidate"]["share"] - each["live"]["share"]))


def _shares(
    old: Mapping[str, int], new: Mapping[str, int]
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    totals = [max(1, sum(counts.values())) for counts in (old, new)]
    for label in dict.fromkeys([*new, *old]):
        before, after = (
            {"rows": counts.get(label, 0), "share": counts.get(label, 0) / total}
            for counts, total in zip((old, new), totals, strict=True)
        )
        yield label, before, after


def _targets(report: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return target -> label -> rows to train on; a report of one target does not name it: ""."""
    labels = report["labels"]
    one = all(isinstance(counts.get("train"), int) for counts in labels.values())
    return {
        target: {label: int(counts["train"]) for label, counts in content.items()}
        for target, content in ({"": labels} if one else labels).items()
    }


def same_texts(live: Mapping[str, Any] | None, candidate: Mapping[str, Any] | None) -> bool:
    """Return whether both read the same text from the same row: columns, join, and what is redacted."""
    if live is None or candidate is None:
        return True  # not known to differ
    sides = [
        (
            each["settings"]["columns"]["text"],
            each["settings"]["columns"]["join"],
            each["settings"].get("redact"),
        )
        for each in (live, candidate)
    ]
    return sides[0] == sides[1]


def of_settings(
    live: Mapping[str, Any] | None, candidate: Mapping[str, Any] | None
) -> list[dict[str, Any]] | None:
    """Return the keys of config/model.yaml that differ; None where one model does not carry its settings."""
    if live is None or candidate is None:
        return None
    old, new = flat(live), flat(candidate)
    return [
        {"key": key, "live": old.get(key), "candidate": new.get(key)}
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as ``training.epochs`` -> value; lists are values."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
