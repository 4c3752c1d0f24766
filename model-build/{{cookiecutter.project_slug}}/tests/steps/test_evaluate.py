"""evaluate.py on the trained model: figures, gate, report, and through whose code the answers come."""

import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny
from sklearn.metrics import accuracy_score, f1_score

import evaluate
from data.examples import Examples
from evaluation.measure import Evaluation, Predictions, measure
from evaluation.metrics import Threshold, apply_thresholds, gate_message
from evaluation.scores import class_scores
from failure import StepError
from report.page import page
from report.registry import quality_report
from serving.targets import NO_LABEL, Target, ask_a_person, choose, confidence_of, probabilities

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def archive(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.tar.gz, as SageMaker packs it."""
    folder = tmp_path_factory.mktemp("archive")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as packed:
        packed.add(trained / "model", arcname=".")
    return folder


@pytest.fixture(scope="module")
def run(archive: Path, sets: Path) -> Run:
    """Evaluates into a folder; returns it."""

    def evaluate_into(
        folder: Path, *arguments: str, model: Path = archive, test: Path = sets / "test"
    ) -> Path:
        paths = ["--model", str(model), "--test", str(test), "--output", str(folder)]
        assert evaluate.main([*paths, *arguments]) == 0
        return folder

    return evaluate_into


ARGUMENTS = [
    *("--at-least", "accuracy=0.5", "--at-least", "macro_f1=0.999"),
    *("--at-most", "expected_calibration_error=0.5"),
    *("--title", "Router <1>", "--data-hash", "4f1c", "--commit", "abc123"),
]


@pytest.fixture(scope="module")
def output(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an evaluation wrote. For reading: tests share it."""
    return run(tmp_path_factory.mktemp("evaluation"), *ARGUMENTS)


@pytest.fixture(scope="module")
def content(output: Path) -> dict[str, Any]:
    """What evaluation.json says."""
    found: dict[str, Any] = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))
    return found


def test_a_model_that_the_lean_image_cannot_load_is_not_measured(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    """It has no PyTorch. Evaluation ends before the quality gate, which registers."""
    model = tmp_path / "model"
    shutil.copytree(trained / "model", model)
    with pytest.raises(
        StepError, match=r"serving.image: lean has no PyTorch.*: it was not asked to\. .*huggingf"
    ):
        run(tmp_path / "out", "--serving-image", "lean", model=model)
    serving = json.loads((model / "serving.json").read_text(encoding="utf-8"))
    serving["runtime"] = {"artefact": None, "reason": "no wheels"}
    (model / "serving.json").write_text(json.dumps(serving), encoding="utf-8")
    with pytest.raises(StepError, match=r"for ONNX Runtime: no wheels\. Mend that, or"):
        run(tmp_path / "out", "--serving-image", "lean", model=model)


# --- figures --------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_predictions(output: Path, content: dict[str, Any]) -> None:
    predictions = pq.read_table(output / "predictions.parquet").to_pydict()
    assert list(predictions) == ["row", "label", "prediction", "confidence"]
    assert predictions["row"] == list(range(1, 43))
    assert predictions["label"] == [label for _, label in tiny.examples(42, seed=2)]
    assert all(1 / 3 <= confidence <= 1 for confidence in predictions["confidence"])

    metrics = content["multiclass_classification_metrics"]
    true, predicted = predictions["label"], predictions["prediction"]
    assert metrics["accuracy"]["value"] == pytest.approx(accuracy_score(true, predicted))
    assert metrics["macro_f1"]["value"] == pytest.approx(f1_score(true, predicted, average="macro"))
    for label, others in metrics["confusion_matrix"].items():
        assert others == {
            other: sum(pair == (label, other) for pair in zip(true, predicted, strict=True))
            for other in tiny.LABELS
        }
    assert set(metrics["per_class"]) == set(tiny.LABELS)
    assert {each["support"] for each in metrics["per_class"].values()} == {14}
    assert sum(each["rows"] for each in metrics["reliability"]) == content["test_rows"] == 42


def test_the_layout_is_that_of_sagemakers_model_quality_report(content: dict[str, Any]) -> None:
    metrics = content["multiclass_classification_metrics"]
    scores = [
        "accuracy",
        "weighted_precision",
        "weighted_recall",
        "weighted_f0_5",
        "weighted_f1",
        "weighted_f2",
    ]
    for name in [*scores, "macro_f1", "expected_calibration_error"]:
        assert set(metrics[name]) == {"value", "standard_deviation", "confidence_interval"}
        low, high = metrics[name]["confidence_interval"]
        assert 0 <= low <= high <= 1
        assert metrics[name]["standard_deviation"] >= 0


# --- the gate -------------------------------------------------------------------------------------


def test_the_gate_compares_each_figure_with_its_threshold(content: dict[str, Any]) -> None:
    gate = content["gate"]
    value = content["multiclass_classification_metrics"]["macro_f1"]["value"]
    assert [check["passed"] for check in gate["checks"]] == [True, value >= 0.999, True]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([], "no threshold is set"),
        ([Threshold("accuracy", "at_least", 0.61)], "the threshold is met"),
        (
            [Threshold("accuracy", "at_least", 0.6), Threshold("error", "at_most", 0.2)],
            "all 2 thresholds are met",
        ),
        ([Threshold("accuracy", "at_least", 0.7)], "accuracy 0.61 is below 0.70"),
        (
            [Threshold("accuracy", "at_least", 0.7), Threshold("error", "at_most", 0.1)],
            "accuracy 0.61 is below 0.70; error 0.12 is above 0.10",
        ),
        ([Threshold("close", "at_least", 0.7)], "close 0.6997 is below 0.7000"),
        ([Threshold("accuracy", "at_least", 0.6125)], "accuracy 0.6100 is below 0.6125"),
    ],
)
def test_the_message_of_the_gate(bounds: list[Threshold], message: str) -> None:
    values = {"accuracy": 0.61, "error": 0.12, "close": 0.69968}
    assert gate_message(apply_thresholds(bounds, values)) == message


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "precision=0.5",
            "expected NAME=NUMBER with a NAME out of accuracy, macro_precision, .* got 'precision=0.5'",
        ),
        ("accuracy", "accuracy: expected a number from 0 to 1, got ''"),
        ("accuracy=70", "accuracy: expected a number from 0 to 1, got '70'"),
        ("accuracy=nan", "accuracy: expected a number from 0 to 1, got 'nan'"),
    ],
)
def test_a_threshold_that_means_nothing_is_refused(
    argument: str, message: str, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=message):
        run(tmp_path, "--at-least", argument)


# --- the model ------------------------------------------------------------------------------------


def test_the_answers_come_from_the_code_in_the_archive_and_the_gate_names_each_missed_figure(
    trained: Path, run: Run, tmp_path: Path, content: dict[str, Any]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "model", model)
    code = (model / "code/serving/bodies.py").read_text(encoding="utf-8")
    (model / "code/serving/bodies.py").write_text(
        code.replace("np.argsort(-scores", "np.argsort(scores"), encoding="utf-8"
    )
    missed = ["--at-least", "accuracy=0.9", "--at-least", "weighted_f2=0.25", "--at-least", "macro_f1=0"]
    impossible = ["--at-most", "expected_calibration_error=0"]
    found = json.loads(
        (run(tmp_path / "out", *missed, *impossible, model=model) / "evaluation.json").read_text()
    )
    worst = found["multiclass_classification_metrics"]["accuracy"]["value"]
    assert worst < 0.2 < content["multiclass_classification_metrics"]["accuracy"]["value"]
    assert found["gate"]["passed"] is False
    assert re.fullmatch(
        r"accuracy 0\.\d\d is below 0\.90; weighted_f2 0\.\d\d is below 0\.25; "
        r"expected_calibration_error 0\.\d+ is above 0\.0+",
        found["gate"]["message"],
    )


def test_a_model_is_asked_in_a_process_of_its_own_and_a_second_evaluation_writes_the_same(
    trained: Path, run: Run, tmp_path: Path, output: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "model", model)
    before = dict(sys.modules)
    with (model / "code/inference.py").open("a", encoding="utf-8") as file:
        file.write(f"\nimport os\nPath({str(tmp_path / 'process')!r}).write_text(str(os.getpid()))\n")
    again = run(tmp_path / "out", *ARGUMENTS, model=model)
    assert int((tmp_path / "process").read_text()) != os.getpid()
    assert all(sys.modules[name] is module for name, module in before.items())
    assert str(model / "code") not in sys.path
    for name in ("evaluation.json", "model_card.json", "report.html", "predictions.parquet"):
        assert (again / name).read_bytes() == (output / name).read_bytes()


def test_the_failure_of_a_model_is_told(
    trained: Path, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "model", model)
    (model / "code/serving/bodies.py").write_text("raise RuntimeError('broken')\n")
    with pytest.raises(StepError, match="the model gave no answers to the test set: RuntimeError: broken"):
        run(tmp_path / "out", model=model)
    assert "Traceback" in capfd.readouterr().err


def _no_archive(model: Path, test: Path) -> None:
    (model / "model.tar.gz").unlink()


def _not_an_archive(model: Path, test: Path) -> None:
    (model / "model.tar.gz").write_bytes(b"no")


def _half_an_archive(model: Path, test: Path) -> None:
    whole = (model / "model.tar.gz").read_bytes()
    (model / "model.tar.gz").write_bytes(whole[: len(whole) // 2])


def _other_labels(model: Path, test: Path) -> None:
    tiny.write_set(test, tiny.examples(6, 1), [*tiny.LABELS, "general"])


def _empty(model: Path, test: Path) -> None:
    tiny.write_set(test, [])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            _no_archive,
            "model.tar.gz: expected a model that train.py wrote; it lacks config.json, serving.json, code/",
        ),
        (_not_an_archive, "model.tar.gz: cannot be unpacked"),
        (_half_an_archive, "model.tar.gz: cannot be unpacked"),
        (_other_labels, r"the model was trained for other labels than the test set has: \['general'\]"),
        (_empty, "the set is empty"),
    ],
)
def test_what_cannot_be_measured_is_named(
    damage: Callable[[Path, Path], None], message: str, archive: Path, sets: Path, run: Run, tmp_path: Path
) -> None:
    shutil.copytree(archive, tmp_path / "model")
    shutil.copytree(sets / "test", tmp_path / "test")
    damage(tmp_path / "model", tmp_path / "test")
    with pytest.raises(StepError, match=message):
        run(tmp_path / "out", model=tmp_path / "model", test=tmp_path / "test")


# --- the report -----------------------------------------------------------------------------------


class Page(HTMLParser):
    """Reads a page: its text, and the tags that are not closed in the order in which they were opened."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_opens_by_itself_and_says_what_it_measured(output: Path, content: dict[str, Any]) -> None:
    source = (output / "report.html").read_text(encoding="utf-8")
    report = Page(source)
    assert not report.wrong and not report.open
    assert not report.addresses
    assert "script" not in report.tags and "url(" not in source and "@import" not in source
    assert set(re.findall(r"https?://[^\"\s]+", source)) == {"http://www.w3.org/2000/svg"}
    assert report.tags.count("svg") == 4
    accuracy = content["multiclass_classification_metrics"]["accuracy"]
    low, high = accuracy["confidence_interval"]
    for words in (
        "Router <1>: evaluation",
        f"{accuracy['value']:.3f}",
        f"95 % interval {low:.3f} to {high:.3f}",
        "42 rows, 3 classes",
        "4f1c",
        "abc123",
        content["gate"]["message"],
        "Gate passed" if content["gate"]["passed"] else "Gate missed",
        *tiny.LABELS,
    ):
        assert words in report.text


def made_up(target: Target, right: float = 0.7, triage: bool = False) -> tuple[Examples, Predictions]:
    """Return 500 made-up texts and answers to them, of which about so many are right."""
    random = np.random.default_rng(len(target.labels))
    labels, text = len(target.labels), "<script>alert('!')</script>\n" + "long " * 200
    logits = random.normal(0, 2, (500, labels))
    scores = probabilities(logits, target.kind)
    chosen = choose(scores, target)
    holds = np.where(random.random((500, 1)) < right, chosen, np.roll(chosen, 1, axis=1))
    answers = (*target.labels, *([NO_LABEL] if target.kind == "several" else []))
    bounds = dict.fromkeys(answers, 0.6) if triage else None
    if target.kind == "one":
        true, predicted = holds.argmax(axis=1), chosen.argmax(axis=1)
    else:
        true, predicted = holds, chosen
    review = None if bounds is None else ask_a_person(scores, chosen, target.labels, bounds)
    confidence = confidence_of(scores, chosen)
    found = Predictions(
        target, true, predicted, confidence, scores, scores, review, review_below=bounds, precision=0.9
    )
    return Examples([text] * 500, [true], np.arange(1, 501)), found


HOSTILE = ['<b>"A" & B</b>', "ein sehr langer Name, der nirgends ganz hineinpasst"]


def evaluation(classes: int, right: float = 0.7) -> Evaluation:
    """Return an evaluation of made-up answers with hostile names."""
    labels = tuple([*HOSTILE, *map(str, range(classes))][:classes])
    examples, found = made_up(Target("team", "one", labels), right)
    threshold = Threshold("accuracy", "at_least", 0.99)
    return measure("A & B", examples, [found], [threshold], {}, repeats=10, seed=1)


@pytest.mark.parametrize("classes", [2, 9, 77])
def test_the_report_of_many_or_few_classes_is_well_formed_and_escaped(classes: int) -> None:
    found = evaluation(classes)
    source = page(found)
    report = Page(source)
    assert not report.wrong and not report.open
    assert "script" not in report.tags and "b" in report.tags  # the banner's own
    assert report.tags.count("b") == 1
    assert "<script>alert('!')</script> long long" in report.text and "…" in report.text
    size = [float(value) for value in re.findall(r'<svg [^>]*width="([\d.]+)"', source)]
    assert max(size) < 1100  # fits the page without scrolling
    matrix, labels = found.targets[0].matrix, found.targets[0].target.labels
    assert matrix is not None
    for row, column in np.argwhere(matrix > 0)[:20]:
        count, support = matrix[row, column], matrix[row].sum()
        words = f"{labels[row]} predicted as {labels[column]}: {count} of {support}"
        assert words in report.text


def test_a_perfect_model_has_a_report_too() -> None:
    report = Page(page(evaluation(2, right=2.0)))
    assert "None: all 500 answers were right." in report.text


def test_a_class_without_a_row_is_in_the_report() -> None:
    found = evaluation(4)
    (target,) = found.targets
    assert target.matrix is not None
    matrix = target.matrix.copy()
    matrix[3] = 0
    emptied = replace(found, targets=[replace(target, matrix=matrix, scores=class_scores(matrix))])
    assert quality_report(emptied)["multiclass_classification_metrics"]["per_class"]["1"]["support"] == 0
    assert not Page(page(emptied)).wrong
