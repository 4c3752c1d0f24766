"""Measure a trained model on the test set and decide whether it is good enough: the evaluation step.

In SageMaker every path's default is right. By hand::

    python evaluate.py --model model --test sets/test --output evaluation --at-least accuracy=0.7

Predictions come from the ``inference.py`` inside the model archive, through its own ``input_fn`` and
``predict_fn``: what is measured is what will be served. Writes ``evaluation.json`` (SageMaker's model quality
layout for multiclass problems, plus intervals, each class, calibration and the gate), ``report.html`` and
``predictions.parquet``. A model that misses a threshold is not an error here: the exit code is 0, and the
pipeline's condition reads ``gate.passed``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batches import LabelSet, read_examples
from failure import StepError, run
from gate import Check, Kind, Threshold, apply_thresholds, gate_message
from metrics import Calibration, ClassScores, Estimate, calibration, class_scores, confusion_matrix, estimates
from report import Evaluation, Mistake, write_report

METRICS = (
    "accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "weighted_precision",
    "weighted_recall",
    "weighted_f0_5",
    "weighted_f1",
    "weighted_f2",
    "expected_calibration_error",
)
"""What a threshold can be set on."""

ROWS_IN_A_REQUEST = 4096
MISTAKES_SHOWN = 30


@dataclass(frozen=True)
class TestSet:
    """The rows to measure on; the lists run over the rows."""

    texts: list[str]
    label_ids: np.ndarray
    rows: list[int]


@dataclass(frozen=True)
class Predictions:
    """What the model answered: the best class of each row and the probability it gave it, both of shape (rows,)."""

    label_ids: np.ndarray
    confidence: np.ndarray


def main() -> int:
    """Evaluate as the command line says; return the exit code."""
    settings = parse_arguments()
    labels = LabelSet.read(settings.test).labels
    test = read_test_set(settings.test, labels)
    with tempfile.TemporaryDirectory() as folder:
        model = unpack(settings.model, Path(folder))
        check_labels(model, labels)
        print(f"{len(test.texts)} texts, {len(labels)} classes", flush=True)
        predictions = predict(model, test.texts, labels, settings.batch_size)

    true, predicted = test.label_ids, predictions.label_ids
    figures = estimates(
        true, predicted, predictions.confidence, len(labels), settings.bootstrap, settings.seed
    )
    matrix = confusion_matrix(true, predicted, len(labels))
    scores, calibrated = class_scores(matrix), calibration(predictions.confidence, true == predicted)
    checks = apply_thresholds(settings.thresholds, {name: figure.value for name, figure in figures.items()})
    message = gate_message(checks)

    settings.output.mkdir(parents=True, exist_ok=True)
    content = quality_report(labels, figures, matrix, scores, calibrated, checks, message)
    (settings.output / "evaluation.json").write_text(
        json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    write_predictions(settings.output / "predictions.parquet", test, predictions, labels)
    evaluation = Evaluation(
        title=settings.title or "Text classifier",
        labels=labels,
        figures=figures,
        matrix=matrix,
        scores=scores,
        calibration=calibrated,
        confidence=predictions.confidence,
        correct=true == predicted,
        mistakes=worst_mistakes(test, predictions, labels),
        checks=checks,
        message=message,
        facts={
            name: value
            for name, value in (("Data hash", settings.data_hash), ("Commit", settings.commit))
            if value
        },
    )
    write_report(settings.output / "report.html", evaluation)
    for name in ("accuracy", "macro_f1", "expected_calibration_error"):
        figure = figures[name]
        print(f"test:{name}={figure.value:.4f}; 95% interval {figure.low:.4f} to {figure.high:.4f}")
    print(f"gate {'passed' if content['gate']['passed'] else 'missed'}: {message}")
    return 0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; ``thresholds`` of the result holds both kinds.

    Raises:
        StepError: a value is missing or out of range.
    """

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise StepError(f"{message} (see --help)")

    def threshold(text: str) -> tuple[str, float]:
        name, _, bound = text.partition("=")
        if name not in METRICS:
            raise argparse.ArgumentTypeError(
                f"expected NAME=NUMBER with one of {', '.join(METRICS)}, got {text!r}"
            )
        try:
            value = float(bound)
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            raise argparse.ArgumentTypeError(f"{name}: expected a number from 0 to 1, got {bound!r}")
        return name, value

    def count(least: int) -> Any:
        def convert(text: str) -> int:
            if not text.isdecimal() or int(text) < least:
                raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text!r}")
            return int(text)

        return convert

    parser = Parser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    processing = Path("/opt/ml/processing")
    add(
        "--model",
        type=Path,
        default=processing / "input/model",
        help="folder with model.tar.gz, or with the model itself",
    )
    add(
        "--test",
        type=Path,
        default=processing / "input/test",
        help="folder with data.parquet and labels.json",
    )
    add("--output", type=Path, default=processing / "output/evaluation", help="where the three files go")
    add("--batch-size", type=count(1), default=64, help="texts that go through the model together")
    add("--bootstrap", type=count(0), default=1000, help="draws for the intervals; 0 for none")
    add("--seed", type=count(0), default=13, help="of the draws")
    add(
        "--at-least",
        type=threshold,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="lowest acceptable figure",
    )
    add(
        "--at-most",
        type=threshold,
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="highest acceptable figure",
    )
    add("--title", default="", help="name of the model on the report")
    add("--data-hash", default="", help="content hash of the input data, for the report")
    add("--commit", default="", help="commit of the code, for the report")
    settings = parser.parse_args(arguments)
    kinds: tuple[Kind, Kind] = ("at_least", "at_most")
    settings.thresholds = [
        Threshold(name, kind, bound) for kind in kinds for name, bound in getattr(settings, kind)
    ]
    return settings


# --- what goes in ---------------------------------------------------------------------------------


def read_test_set(folder: Path, labels: Sequence[str]) -> TestSet:
    """Read the whole test set; errors as in ``read_examples``."""
    texts: list[str] = []
    label_ids: list[int] = []
    rows: list[int] = []
    for columns in read_examples(folder, labels):
        texts += columns["text"]
        label_ids += columns["label"]
        rows += columns["row"]
    return TestSet(texts, np.asarray(label_ids, dtype=np.int64), rows)


def unpack(model: Path, folder: Path) -> Path:
    """Return the folder of the model: ``model`` itself, or ``folder`` after unpacking ``model.tar.gz`` into it.

    Raises:
        StepError: there is neither, the archive is damaged, or files that train.py writes are missing.
    """
    archive = model if model.is_file() else model / "model.tar.gz"
    if archive.is_file():
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise StepError(f"{archive}: cannot be unpacked: {error}") from None
        model = folder
    missing = [
        name for name in ("config.json", "serving.json", "code/inference.py") if not (model / name).is_file()
    ]
    if missing:
        raise StepError(f"{archive}: expected a model that train.py wrote; it lacks {', '.join(missing)}")
    return model


def check_labels(model: Path, labels: list[str]) -> None:
    """Refuse a model that was trained for other labels than the test set has."""
    trained = json.loads((model / "serving.json").read_text(encoding="utf-8"))["labels"]
    if trained != labels:
        difference = sorted(set(trained).symmetric_difference(labels))[:10]
        raise StepError(
            f"the model's labels are not the test set's ({difference or 'other order'}): train and test on one run"
        )


# --- predicting -----------------------------------------------------------------------------------


def predict(model: Path, texts: list[str], labels: Sequence[str], batch_size: int) -> Predictions:
    """Ask the model archive's own handler for the best class of each text."""
    handler = load_handler(model / "code")
    classifier = handler.model_fn(str(model))
    ids = {label: index for index, label in enumerate(labels)}
    best: list[dict[str, Any]] = []
    for start in range(0, len(texts), ROWS_IN_A_REQUEST):
        body = {
            "inputs": texts[start : start + ROWS_IN_A_REQUEST],
            "parameters": {"top_k": 1, "batch_size": batch_size},
        }
        answer = handler.predict_fn(handler.input_fn(json.dumps(body), "application/json"), classifier)
        best += [record[0] for record in answer.records]
        if len(texts) > ROWS_IN_A_REQUEST:
            print(f"  {len(best)} of {len(texts)} texts", flush=True)
    return Predictions(
        np.asarray([ids[each["label"]] for each in best], dtype=np.int64),
        np.asarray([each["score"] for each in best], dtype=np.float64),
    )


def load_handler(code: Path) -> ModuleType:
    """Import ``inference.py`` of a model archive together with the ``texts.py`` beside it.

    This folder has modules of the same names, perhaps of another version; they are set aside during the
    import.
    """
    own = {name: sys.modules.pop(name) for name in ("inference", "texts") if name in sys.modules}
    sys.path.insert(0, str(code))
    try:
        spec = importlib.util.spec_from_file_location("inference", code / "inference.py")
        assert spec is not None and spec.loader is not None  # a path that ends in .py always has both
        module = importlib.util.module_from_spec(spec)
        sys.modules["inference"] = module  # dataclasses look their module up while it is being imported
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(code))
        for name in ("inference", "texts"):
            sys.modules.pop(name, None)
        sys.modules.update(own)


# --- what comes out -------------------------------------------------------------------------------


def quality_report(
    labels: Sequence[str],
    figures: dict[str, Estimate],
    matrix: np.ndarray,
    scores: ClassScores,
    calibrated: Calibration,
    checks: Sequence[Check],
    message: str,
) -> dict[str, Any]:
    """Return the content of ``evaluation.json``.

    The keys that SageMaker's model quality report has (``value`` and ``standard_deviation`` under
    ``multiclass_classification_metrics``, the confusion matrix as true label -> predicted label -> rows) are
    where the model registry looks for them; ``gate`` and ``test_rows`` are for the pipeline.
    """
    metrics: dict[str, Any] = {
        name: {
            "value": figure.value,
            "standard_deviation": figure.standard_deviation,
            "confidence_interval": [figure.low, figure.high],
        }
        for name, figure in figures.items()
    }
    metrics["confusion_matrix"] = {
        true: {predicted: int(matrix[row, column]) for column, predicted in enumerate(labels)}
        for row, true in enumerate(labels)
    }
    metrics["per_class"] = {
        label: {
            "precision": float(scores.precision[index]),
            "recall": float(scores.recall[index]),
            "f1": float(scores.f1[index]),
            "support": int(scores.support[index]),
        }
        for index, label in enumerate(labels)
    }
    metrics["reliability"] = [
        {"rows": int(count), "confidence": float(confidence), "accuracy": float(accuracy)}
        for count, confidence, accuracy in zip(
            calibrated.count, calibrated.confidence, calibrated.accuracy, strict=True
        )
    ]
    return {
        "multiclass_classification_metrics": metrics,
        "gate": {
            "passed": all(check.passed for check in checks),
            "message": message,
            "checks": [asdict(check) for check in checks],
        },
        "test_rows": int(matrix.sum()),
    }


def worst_mistakes(test: TestSet, predictions: Predictions, labels: Sequence[str]) -> list[Mistake]:
    """Return the wrong answers that the model was surest of, the surest first."""
    wrong = np.flatnonzero(predictions.label_ids != test.label_ids)
    order = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:MISTAKES_SHOWN]
    return [
        Mistake(
            test.rows[index],
            test.texts[index],
            labels[test.label_ids[index]],
            labels[predictions.label_ids[index]],
            float(predictions.confidence[index]),
        )
        for index in order
    ]


def write_predictions(path: Path, test: TestSet, predictions: Predictions, labels: Sequence[str]) -> None:
    """Write one row for each row of the test set: its number in the input, true label, predicted label, confidence."""
    names = np.asarray(labels, dtype=object)
    table = pa.table(
        {
            "row": pa.array(test.rows, pa.int64()),
            "label": pa.array(names[test.label_ids], pa.string()),
            "prediction": pa.array(names[predictions.label_ids], pa.string()),
            "confidence": pa.array(predictions.confidence, pa.float64()),
        }
    )
    pq.write_table(table, path)


if __name__ == "__main__":
    sys.exit(run(main, Path("/opt/ml/output/message")))
