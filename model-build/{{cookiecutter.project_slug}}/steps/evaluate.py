"""Measure a trained model on the test set and decide whether it is good enough: the evaluation step.

In SageMaker every path's default is right. By hand::

    python evaluate.py --model model --test sets/test --output evaluation --at-least accuracy=0.7

Predictions come from the ``inference.py`` inside the model archive (evaluation/models.py): what is measured
is what will be served. Below ``--output`` it writes::

    evaluation.json        SageMaker's model quality layout, with intervals, classes, calibration and the gate
    report.html            the same for people, in one file
    model_card.json        evaluation's part of the model card (report/registry.py)
    predictions.parquet    row, label, prediction and confidence of each test row

A model that misses a threshold is not an error of this step: the exit code is 0, and the pipeline's condition
reads ``gate.passed``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.examples import Examples, LabelSet, read_all
from evaluation.comparison import with_live_model, without_texts
from evaluation.measure import Evaluation, Predictions, figure_name, measure
from evaluation.metrics import Verdict, judged, names
from evaluation.metrics import verdict as verdict_on
from evaluation.models import check_image, check_labels, predict, unpack
from evaluation.settings import check_thresholds, parse
from failure import run
from report import comparison
from report.page import page
from report.registry import model_card, quality_report
from serving.targets import field_names


def main(arguments: list[str] | None = None) -> int:
    """Evaluate as the command line says; return the exit code."""
    settings = parse(arguments, (__doc__ or "").splitlines()[0])
    label_set = LabelSet.read(settings.test)
    check_thresholds(settings.thresholds, label_set.targets)
    examples = read_all(settings.test, label_set.targets)
    with tempfile.TemporaryDirectory() as folder:
        model = unpack(settings.model, Path(folder))
        check_labels(model, label_set.targets)
        check_image(model, settings.serving_image)
        found = predict(model, examples.texts, examples.truth, settings.batch_size)

    facts = {"Data hash": settings.data_hash, "Commit": settings.commit}
    evaluation = measure(
        settings.title,
        examples,
        found,
        settings.thresholds,
        {name: value for name, value in facts.items() if value},
        settings.bootstrap,
        settings.seed,
    )
    compared = with_live_model(settings, found, examples.texts, examples.rows.tolist(), label_set.text)
    verdict = verdict_on(compared, settings.not_worse_by)
    content = write(settings.output, evaluation, compared, verdict)
    write_predictions(settings.output / "predictions.parquet", examples, found)
    for line in spoken(evaluation):
        print(line)
    gate = content["gate"]
    print(f"gate {'passed' if gate['passed'] else 'missed'}: {gate['message']}")
    return 0


def spoken(evaluation: Evaluation) -> list[str]:
    """Return the lines of the log: each target's main figures."""
    asked = [each.target for each in evaluation.targets]
    lines = []
    for each in evaluation.targets:
        for metric in names(each.target.kind, "log"):
            name, figure = figure_name(asked, each.target, metric), each.figures[metric]
            interval = f"95 % interval {figure.low:.4f} to {figure.high:.4f}"
            lines.append(f"test:{name}={figure.value:.4f}; {interval}")
        if each.triage is not None:
            name = figure_name(asked, each.target, "coverage")
            coverage, precision = each.triage.coverage.value, each.triage.precision.value
            told = f"precision {precision:.4f} of what needs no person" if coverage else "all need a person"
            lines.append(f"test:{name}={coverage:.4f}; {told}")
    return lines


def write(folder: Path, evaluation: Evaluation, compared: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """Write ``evaluation.json``, ``model_card.json`` and ``report.html``; return the first one's content."""
    folder.mkdir(parents=True, exist_ok=True)
    content = judged(quality_report(evaluation), without_texts(compared), verdict)
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    card = json.dumps(model_card(content), indent=2)
    (folder / "model_card.json").write_text(card + "\n", encoding="utf-8")
    html = page(evaluation, comparison.sections(compared, verdict))
    (folder / "report.html").write_text(html, encoding="utf-8")
    return content


def write_predictions(path: Path, examples: Examples, found: Sequence[Predictions]) -> None:
    """Write what the model answered to each test row, with its number in the input data.

    Labels are texts, of a target with several a list of them; with triage also ``needs_review``.
    """
    targets = [each.target for each in found]
    table = {"row": pa.array(examples.rows, pa.int64())}
    for index, each in enumerate(found):
        one = each.target.kind == "one"
        kind = pa.string() if one else pa.list_(pa.string())
        columns = {
            "label": pa.array(each.names(each.true) if one else each.lists(each.true), kind),
            "prediction": pa.array(each.names(each.predicted) if one else each.lists(each.predicted), kind),
            "confidence": pa.array(each.confidence, pa.float64()),
        }
        if each.needs_review is not None:
            columns["needs_review"] = pa.array(each.needs_review, pa.bool_())
        for field, column in columns.items():
            table[field_names(targets, field)[index]] = column
    pq.write_table(pa.table(table), path)


if __name__ == "__main__":
    sys.exit(run(main))
