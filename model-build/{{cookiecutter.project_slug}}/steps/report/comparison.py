"""The comparison with the live model as sections of report.html. Words and arrows say what colours say."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from evaluation import metrics
from evaluation.metrics import Verdict
from report.parts import number, row, section, short, table, wide

TEXT_SHOWN = 280
CLASSES_SHOWN = 30

DIFFERENCE = """Both models were asked the same rows. The interval is that of the difference: it holds 95 % of
the values that the difference takes when as many rows are drawn anew with replacement. Where it includes 0,
this test set does not tell which model is better."""
CLASSES = """F1 of each class with both models; the greatest loss comes first."""
EXAMPLES = """Those first of which the new model was surest."""


def sections(comparison: Mapping[str, Any], verdict: Verdict) -> str:
    """Return the comparison as HTML; its examples may have texts."""
    return _margin(verdict) + _compared(comparison)


def _margin(verdict: Verdict) -> str:
    if not verdict.message:
        return ""
    word = "passed" if verdict.passed else "missed"
    text = f"<b>Margin {word}</b> <span>{escape(verdict.message)}</span>"
    return f'<section class="gate {word}">{text}</section>\n'


def _compared(comparison: Mapping[str, Any]) -> str:
    title = "Beside the live model"
    if comparison["status"] != "compared":
        note = comparison.get("note", "")
        return section(title, escape(note[:1].upper() + note[1:]), "")
    live, rows = comparison["live"], comparison["rows"]
    facts = {
        "Live model": f"version {live['version']}, commit {live['commit'][:12]}",
        "Rows compared": f"{rows['compared']:,} of {rows['test']:,}",
    }
    pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    warnings = "".join(f"<li>{escape(text)}</li>" for text in comparison["warnings"])
    body = [f"<dl>{pairs}</dl>", f"<ul>{warnings}</ul>" if warnings else ""]
    several = len(comparison["targets"]) > 1
    for name, target in comparison["targets"].items():
        body.append(f"<h3>{escape(name)}</h3>" if several else "")
        body.append(wide(_figures(target)))
        body.append(_changed(target["changed"]))
    parts = [section(title, DIFFERENCE, "\n".join(body))]
    for name, target in comparison["targets"].items():
        of = f": {escape(name)}" if several else ""
        parts.append(section(f"Gains and losses of each class{of}", CLASSES, wide(_classes(target))))
        for word, what in (("broken", "became wrong"), ("fixed", "became right")):
            examples = target["examples"][word]
            if examples:
                total = target["changed"][word]
                title = f"Answers that {what}{of}"
                text = f"{total} in all. {EXAMPLES}"
                parts.append(section(title, text, wide(_examples(examples))))
    parts.append(section("What else is different", "", _differences(comparison)))
    return "\n".join(parts)


def arrow(gain: float, digits: int = 3) -> str:
    """Return how much better a figure is, such as ``▲ better by 0.012``; never ``better by 0.000``."""
    if round(abs(gain), digits) == 0:
        return "= the same"
    return f"{'▲ better' if gain > 0 else '▼ worse'} by {abs(gain):.{digits}f}"


def _figures(target: Mapping[str, Any]) -> str:
    rows = []
    for metric, figure in target["figures"].items():
        low, high = figure["confidence_interval"]
        told = "" if low <= 0 <= high else " (not by chance alone)"
        cells = [
            metrics.LABELS[metric],
            number(f"{figure['live']:.4f}"),
            number(f"{figure['candidate']:.4f}"),
        ]
        cells += [
            arrow(metrics.gain(metric, figure["difference"]), 4) + told,
            number(f"{low:+.4f} to {high:+.4f}"),
        ]
        rows.append(row(*cells))
    return table(["Figure", "#Live", "#New", "Difference", "#95 % interval"], rows)


def _changed(changed: Mapping[str, int]) -> str:
    return (
        f"<p>{changed['fixed']} answers became right, {changed['broken']} became wrong; "
        f"{changed['both_right']} are right and {changed['both_wrong']} wrong with both models.</p>"
    )


def _classes(target: Mapping[str, Any]) -> str:
    classes = target["classes"]
    shown = classes if len(classes) <= CLASSES_SHOWN else _ends(classes)
    rows = [
        row(
            escape(each["label"]),
            number(f"{each['rows']:,}"),
            number(f"{each['live']['f1']:.3f}"),
            number(f"{each['candidate']['f1']:.3f}"),
            arrow(each["difference"]),
            number(f"{each['found_more']:+d}" if each["found_more"] else "0"),
        )
        for each in shown
    ]
    if len(shown) < len(classes):
        rows.append(row(f"… {len(classes) - len(shown)} classes between these are in evaluation.json"))
    return table(["Class", "#Rows", "#F1 live", "#F1 new", "Difference", "#More rows found"], rows)


def _ends(classes: Sequence[Any]) -> list[Any]:
    return [*classes[: CLASSES_SHOWN // 2], *classes[-CLASSES_SHOWN // 2 :]]


def _examples(examples: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for each in examples:
        text = escape(short(" ".join(each.get("text", "").split()), TEXT_SHOWN))
        cells = [number(str(each["row"])), number(f"{each['confidence']:.3f}")]
        cells += [escape(each[name] or "(none)") for name in ("label", "live", "candidate")]
        rows.append(row(*cells, f'<td class="text">{text}</td>'))
    return table(["#Row", "#Confidence", "True class", "Live", "New", "Text"], rows)


def _differences(comparison: Mapping[str, Any]) -> str:
    return "\n".join([_data(comparison["data"]), _settings(comparison["settings"])])


def _data(data: Mapping[str, Any] | None) -> str:
    if data is None:
        return "<p>Data: the live model does not carry its data report (an older version made it).</p>"
    if data["same"]:
        same = f"<p>Data: the same files, {data['rows']['candidate']:,} rows.</p>"
        return same if data["sets"]["live"] == data["sets"]["candidate"] else same + _sets(data)
    return _sets(data) + _mix(data["label_mix"])


def _sets(data: Mapping[str, Any]) -> str:
    rows = [
        row("Rows of the files", *(number(f"{data['rows'][side]:,}") for side in ("live", "candidate"))),
        *(
            row(
                f"Texts in {name}",
                *(number(f"{data['sets'][side][name]:,}") for side in ("live", "candidate")),
            )
            for name in data["sets"]["candidate"]
        ),
        row("SHA-256", *(number(f"{data['sha256'][side][:16]}…") for side in ("live", "candidate"))),
    ]
    return wide(table(["Data", "#Live", "#New"], rows))


def _mix(mix: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        row(
            escape(each["label"]),
            *(
                number(f"{each[side]['rows']:,} ({each[side]['share']:.1%})")
                for side in ("live", "candidate")
            ),
        )
        for each in mix[:CLASSES_SHOWN]
    ]
    return wide(table(["Texts to train on, by class", "#Live", "#New"], rows))


def _settings(settings: Sequence[Mapping[str, Any]] | None) -> str:
    if settings is None:
        return "<p>Settings: the live model does not carry its settings (an older version made it).</p>"
    if not settings:
        return "<p>Settings: those of config/model.yaml that make a model are the same.</p>"
    rows = [
        row(escape(each["key"]), *(escape(json.dumps(each[side])) for side in ("live", "candidate")))
        for each in settings
    ]
    return wide(table(["config/model.yaml", "Live", "New"], rows))
