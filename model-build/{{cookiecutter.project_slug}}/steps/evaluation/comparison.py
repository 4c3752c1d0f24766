"""The new model beside the live one, on the same test rows: what a person should know before deciding.

For every target the figures, classes and rows of both (paired.py), and what differs in the data and the
settings that each of them carries. Rows that the live model was trained on are left out: on them it would
look too good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evaluation import models
from evaluation.measure import Predictions
from evaluation.models import CannotAsk, LiveModel
from evaluation.paired import compare_target
from evaluation.settings import Settings
from serving.targets import Target

FEWEST_ROWS = 30
"""With fewer rows that the live model does not know, all are compared, and nothing is decided by it."""


def with_live_model(
    places: Settings,
    candidate: Sequence[Predictions],
    texts: Sequence[str],
    rows: Sequence[int],
    text: Mapping[str, Any],
) -> dict[str, Any]:
    """Ask the live model, if there is one, and compare; without one, or if it gives no answers, say so.

    Args:
        places: the settings of this step.
        candidate: the new model's answers, a target each.
        texts: of the test set.
        rows: their numbers in the input data.
        text: columns and join of the test set.
    """
    if places.live_package == "none":
        return nothing("none", "No version is approved yet: there is no live model to compare with.")
    if places.live_package == models.UNRESOLVED:
        return nothing(
            "unresolved",
            "nobody looked up the live model: start the pipeline with `make run` or a push, not by hand",
        )
    print(f"asking the live model {places.live_package} the same texts", flush=True)
    try:
        live = models.ask_live(
            places.live_package,
            places.live_commit,
            places.live_model,
            places.live_settings,
            places.live_report,
            texts,
        )
    except CannotAsk as error:
        version = places.live_package.rsplit("/", 1)[-1]
        return nothing("failed", f"the live model (version {version}) gave no answers: {error}")
    about = {
        "settings": models.read_json(places.settings / "settings.json"),
        "data": models.read_json(places.report / "data_report.json"),
        "text": text,
    }
    return compare(live, candidate, texts, rows, about, places.bootstrap, places.seed)


def compare(
    live: LiveModel,
    candidate: Sequence[Predictions],
    texts: Sequence[str],
    rows: Sequence[int],
    about: Mapping[str, Any],
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Return the content of ``comparison`` in evaluation.json; its examples have texts (``without_texts``).

    Args:
        live: the live model and its answers.
        candidate: the new one's, a target each.
        texts: of the test set.
        rows: their numbers in the input data.
        about: the new model's ``settings`` and ``data`` (settings.json, data_report.json; None if absent) and
            ``text`` (columns and join).
        repeats: draws of the bootstrap; fewer on large test sets.
        seed: of the draws.
    """
    if not same_texts(live.data, about.get("data")):
        live = replace(live, known=None)  # its hashes are of other texts, made from the same rows
    seen = np.zeros(len(texts), bool) if live.known is None else live.known
    fair = bool((~seen).sum() >= FEWEST_ROWS or not seen.any())
    chosen = np.flatnonzero(~seen) if fair else np.arange(len(texts))
    matched = match(live.targets, [each.target for each in candidate])
    targets = {
        each.target.name: compare_target(
            each, matched[each.target.name], live.answers, chosen, texts, rows, repeats, seed
        )
        for each in candidate
        if each.target.name in matched
    }
    return {
        "status": "compared" if targets else "nothing in common",
        "note": "" if targets else "the live model answers none of these targets",
        "live": {"package": live.package, "version": live.version, "commit": live.commit},
        "rows": {"test": len(texts), "known_to_live": int(seen.sum()), "compared": len(chosen)},
        "fair": fair,
        "targets": targets,
        "data": of_data(live.data, about.get("data")),
        "settings": of_settings(live.settings, about.get("settings")),
        "warnings": _warnings(live, candidate, matched, seen, fair, about),
    }


def nothing(status: str, note: str) -> dict[str, Any]:
    """Return the content of ``comparison`` where there is none: a word, and a sentence for a person."""
    return {"status": status, "note": note, "targets": {}, "warnings": []}


def match(live: Sequence[Target], candidate: Sequence[Target]) -> dict[str, Target]:
    """Return for each of the candidate's targets the live model's one: by name, or the only one of both."""
    if len(live) == len(candidate) == 1:
        return {candidate[0].name: live[0]}
    by_name = {target.name: target for target in live}
    return {target.name: by_name[target.name] for target in candidate if target.name in by_name}


def without_texts(comparison: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison without the texts of its examples: for evaluation.json, which holds none."""
    targets = {}
    for name, target in comparison["targets"].items():
        examples = {
            word: [{key: value for key, value in each.items() if key != "text"} for each in rows]
            for word, rows in target["examples"].items()
        }
        targets[name] = {**target, "examples": examples}
    return {**comparison, "targets": targets}


def _warnings(
    live: LiveModel,
    candidate: Sequence[Predictions],
    matched: Mapping[str, Target],
    seen: np.ndarray,
    fair: bool,
    about: Mapping[str, Any],
) -> list[str]:
    found = []
    count, total = int(seen.sum()), len(seen)
    if live.known is None:
        found.append(
            "It cannot be told which of these rows the live model was trained on (an older version made it, "
            "or texts are read in another way now): its figures may be too good."
        )
    elif count and fair:
        found.append(
            f"The live model was trained on {count} of the {total} test rows; both are measured on the other "
            f"{total - count}."
        )
    elif count:
        found.append(
            f"The live model was trained on {count} of the {total} test rows. Too few others are left: "
            "its figures are too good, and a margin decides nothing here."
        )
    for each in candidate:
        target, other = each.target, matched.get(each.target.name)
        if other is None:
            found.append(f"The live model does not answer {target.name}: not compared.")
            continue
        new = [label for label in target.labels if label not in other.labels]
        gone = [label for label in other.labels if label not in target.labels]
        if new:
            found.append(f"{target.name}: the live model does not know {', '.join(new)}.")
        if gone:
            found.append(
                f"{target.name}: the live model may still answer {', '.join(gone)}, which counts as wrong."
            )
    text = about.get("text")
    if text and live.text and dict(live.text) != dict(text):
        found.append(
            f"The live model was made for texts of {_columns(live.text)}, and is asked those of "
            f"{_columns(text)}."
        )
    return found


def _columns(text: Mapping[str, Any]) -> str:
    return " + ".join(text.get("columns", []))


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
