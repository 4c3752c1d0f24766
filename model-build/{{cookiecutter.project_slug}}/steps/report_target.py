"""One target's part of report.html: where it errs, each label, confidence, triage, mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from charts import class_chart, confidence_chart, confusion_chart, coverage_chart, reliability_chart, short
from evaluation import Mistake, TargetEvaluation, Triage, Trusted
from metrics import Estimate
from report_parts import METRICS, number, row, section, table, wide

HEADLINES = {
    "one": ("accuracy", "macro_f1", "weighted_f1", "expected_calibration_error"),
    "several": ("micro_f1", "macro_f1", "exact_match", "expected_calibration_error"),
}
TEXT_SHOWN = 280

CONFUSION = """Each row is a true class, each column what the model answered. Blue is right, orange wrong; the
deeper, the larger the share of the row. Point at a cell for its numbers."""
CLASSES = """Precision: how many of the answers with this class were right. Recall: how many texts of this
class were found. F1 is their harmonic mean. The weakest class comes first; the figures of classes with few
rows are uncertain."""
LABELS = """Precision: how many of the texts that were given this label have it. Recall: how many of the texts
with this label were given it. F1 is their harmonic mean. The weakest label comes first; the figures of labels
with few rows are uncertain."""
CONFIDENCE = """On the left how sure the model was of its answers, on the right how often answers of that
confidence were right: where it can be trusted, the bars end at the dashed line."""
SEVERAL = """ Every label that was answered counts once."""
TRIAGE = """The model answers alone where it is sure enough, and asks for a person elsewhere
(<code>needs_review</code>). The curve shows how precise its surest answers are, the more of them one takes;
the ring is where the model stands with the thresholds of the table, which the validation set has set; the
test set has not. Alone: how many of the answers with a label were sure enough."""


def headlines(found: TargetEvaluation) -> list[tuple[str, str, str]]:
    """Return the main figures: name, value, and what to know about it."""
    tiles = [
        (METRICS[name], f"{found.figures[name].value:.3f}", interval(found.figures[name]))
        for name in HEADLINES[found.target.kind]
    ]
    if found.triage is not None:
        precision = found.triage.precision.value
        note = f"precision of these {precision:.3f}" if found.triage.coverage.value else "of no text"
        tiles.append(("Answered without a person", f"{found.triage.coverage.value:.0%}", note))
    return tiles


def interval(figure: Estimate) -> str:
    """Return the interval in words."""
    return f"95 % interval {figure.low:.3f} to {figure.high:.3f}"


def sections(found: TargetEvaluation) -> list[str]:
    """Return the boxes about one target."""
    labels, one = found.target.labels, found.target.kind == "one"
    parts = []
    if found.matrix is not None:
        parts.append(section("Where it errs", CONFUSION, wide(confusion_chart(found.matrix, labels))))
    title, explanation = ("Each class", CLASSES) if one else ("Each label", LABELS)
    parts.append(section(title, explanation, wide(class_chart(found.scores, labels))))
    charts = wide(confidence_chart(found.sure, found.right)) + wide(reliability_chart(found.calibration))
    parts.append(
        section(
            "How far its confidence can be trusted",
            CONFIDENCE + ("" if one else SEVERAL),
            f'<div class="pair">{charts}</div>{_temperature(found)}',
        )
    )
    if found.triage is not None:
        parts.append(_triage(found.triage, "class" if one else "label"))
    parts.append(_mistakes(found))
    return parts


def figures_table(figures: Mapping[str, Estimate]) -> str:
    """Return every figure with its interval."""
    rows = [
        row(
            METRICS[name],
            number(f"{figure.value:.4f}"),
            number(f"{figure.low:.4f} to {figure.high:.4f}"),
            number(f"{figure.standard_deviation:.4f}"),
        )
        for name, figure in figures.items()
    ]
    return wide(table(["Figure", "#Value", "#95 % interval", "#Standard deviation"], rows))


def _temperature(found: TargetEvaluation) -> str:
    if found.triage is None:
        return ""
    before, after = found.triage.uncalibrated.error, found.calibration.error
    if found.triage.temperature == 1:
        return (
            "<p>The scores are as the model gives them: no temperature was better on the validation set.</p>"
        )
    change = f"from {before:.3f} to {after:.3f}"
    return (
        f"<p>The model's outputs are divided by a temperature of {found.triage.temperature:.3g}, fitted on "
        f"the validation set; here it takes the calibration error {change}.</p>"
    )


def _triage(triage: Triage, word: str) -> str:
    declared = "" if triage.declared is None else f" Declared precision: {triage.declared:g}."
    coverage, precision = triage.coverage, triage.precision
    reached = (
        f"{precision.value:.1%} of these are right ({interval(precision)})"
        if coverage.value
        else "so a person looks at all of them"
    )
    told = (
        f"<p><b>{coverage.value:.1%} of the texts need no person; {reached}.</b> "
        f"Of all answers, {triage.untouched.value:.1%} are right.</p>"
    )
    chart = coverage_chart(*triage.curve, (coverage.value, precision.value), triage.declared)
    head = [word.capitalize(), "#Asks below", "#Answers", "#Alone", "#Of these right"]
    rows = [_trusted(each) for each in triage.labels]
    content = f'{told}<div class="pair">{wide(chart)}{wide(table(head, rows))}</div>'
    return section("What it may answer alone", TRIAGE + declared, content)


def _trusted(each: Trusted) -> str:
    name = escape(short(each.label)) if each.label else "<i>none of them</i>"
    bound = "always" if each.threshold is None else f"{each.threshold:.3f}"
    share = f"{each.right / each.accepted:.1%}" if each.accepted else "–"
    return row(name, number(bound), number(f"{each.answers:,}"), number(f"{each.accepted:,}"), number(share))


def _mistakes(found: TargetEvaluation) -> str:
    title, rows = "Most confident mistakes", found.predictions.rows
    wrong = rows - int(found.predictions.correct.sum())
    if not wrong:
        return section(title, f"None: all {rows} answers were right.", "")
    explanation = (
        f"{wrong} of {rows} answers were wrong; these are the ones the model was surest of. "
        "Look for wrong labels in the data first."
    )
    one = found.target.kind == "one"
    head = ["#Row", "#Confidence", "True class" if one else "True labels", "Answer", "Text"]
    return section(title, explanation, wide(table(head, map(_mistake, found.mistakes))))


def _mistake(mistake: Mistake) -> str:
    text = escape(short(" ".join(mistake.text.split()), TEXT_SHOWN))
    cells = [number(str(mistake.row)), number(f"{mistake.confidence:.3f}")]
    cells += [
        escape(names.replace(";", "; ")) if names else "<i>none</i>"
        for names in (mistake.label, mistake.prediction)
    ]
    return row(*cells) + f'<td class="text">{text}</td>'
