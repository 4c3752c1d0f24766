"""How the data and the settings of two models differ, from what each of them carries."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Return each label's rows in the training set of both, and its share; the greatest change first."""
    counts = [_label_counts(side) for side in (live, candidate)]
    totals = [max(1, sum(each.values())) for each in counts]
    mix = [
        {
            "label": label,
            **{
                side: {"rows": count.get(label, 0), "share": count.get(label, 0) / total}
                for side, count, total in zip(("live", "candidate"), counts, totals, strict=True)
            },
        }
        for label in dict.fromkeys([*counts[1], *counts[0]])
    ]
    return sorted(mix, key=lambda each: -abs(each["candidate"]["share"] - each["live"]["share"]))


def _label_counts(report: Mapping[str, Any]) -> dict[str, int]:
    """Return label -> rows to train on; of several targets their labels as ``target: label``."""
    counts = {}
    for name, value in report["labels"].items():
        if "train" in value:
            counts[name] = int(value["train"])
        else:
            counts |= {f"{name}: {label}": int(each["train"]) for label, each in value.items()}
    return counts


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
