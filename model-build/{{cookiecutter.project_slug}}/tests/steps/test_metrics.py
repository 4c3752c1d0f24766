"""evaluation/scores.py beside scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as reference

from evaluation.scores import (
    averages,
    calibration,
    class_scores,
    confusion_matrix,
    estimates,
    f_beta,
    label_calibration,
    label_estimates,
    label_scores,
    label_summary,
    ratios,
    summary,
)

CLASSES = 6


@pytest.fixture(params=["usual", "a class never predicted", "a class absent", "one row", "all right"])
def answers(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels, predicted labels and confidence."""
    random = np.random.default_rng(3)
    true = random.choice(CLASSES, size=200, p=[0.4, 0.25, 0.2, 0.1, 0.03, 0.02])
    predicted = np.where(random.random(200) < 0.7, true, random.integers(0, CLASSES, 200))
    if request.param == "a class never predicted":
        predicted[predicted == 2] = 0
    elif request.param == "a class absent":
        true, predicted = np.where(true == 5, 0, true), np.where(predicted == 5, 0, predicted)
    elif request.param == "one row":
        true, predicted = true[:1], predicted[:1]
    elif request.param == "all right":
        predicted = true.copy()
    return true, predicted, random.beta(4, 1, len(true))


def test_the_averages_are_scikit_learns(answers: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    true, predicted, confidence = answers
    figures = estimates(true, predicted, confidence, CLASSES, repeats=0, seed=1)
    for kind in ("macro", "weighted"):
        options = {"average": kind, "zero_division": 0}
        assert figures[f"{kind}_precision"].value == pytest.approx(
            reference.precision_score(true, predicted, **options)
        )
        assert figures[f"{kind}_recall"].value == pytest.approx(
            reference.recall_score(true, predicted, **options)
        )
        assert figures[f"{kind}_f1"].value == pytest.approx(reference.f1_score(true, predicted, **options))
    for name, beta in (("weighted_f0_5", 0.5), ("weighted_f2", 2.0)):
        expected = reference.fbeta_score(true, predicted, beta=beta, average="weighted", zero_division=0)
        assert figures[name].value == pytest.approx(expected)
    assert figures["accuracy"].value == pytest.approx(reference.accuracy_score(true, predicted))
    watched = summary(true, predicted)
    assert watched == {
        name: pytest.approx(figures[name].value) for name in ("accuracy", "macro_f1", "weighted_f1")
    }


def test_the_scores_of_each_class_are_scikit_learns(
    answers: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    true, predicted, _ = answers
    matrix = confusion_matrix(true, predicted, CLASSES)
    np.testing.assert_array_equal(matrix, reference.confusion_matrix(true, predicted, labels=range(CLASSES)))
    scores = class_scores(matrix)
    expected = reference.precision_recall_fscore_support(
        true, predicted, labels=range(CLASSES), zero_division=0
    )
    for ours, theirs in zip(
        (scores.precision, scores.recall, scores.f1, scores.support), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs)


def test_calibration_is_the_sum_over_15_bins_of_the_paper() -> None:
    random = np.random.default_rng(5)
    confidence = np.concatenate([random.random(500), [0.0, 1.0, 1 / 15, 2 / 15]])
    correct = random.random(len(confidence)) < confidence**2
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        inside |= (number == 0) & (confidence == 0)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    found = calibration(confidence, correct)
    assert found.error == pytest.approx(expected)
    assert found.count.sum() == len(confidence)


def test_a_model_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    assert calibration(np.full(10, 0.8), np.arange(10) < 8).error == pytest.approx(0)
    assert calibration(np.ones(4), np.zeros(4, dtype=bool)).error == pytest.approx(1)


def test_the_bootstrap_computes_every_figure_on_rows_drawn_with_replacement() -> None:
    random = np.random.default_rng(7)
    true = random.integers(0, CLASSES, 60)
    predicted = np.where(random.random(60) < 0.6, true, random.integers(0, CLASSES, 60))
    confidence = random.random(60)
    figures = estimates(true, predicted, confidence, CLASSES, repeats=200, seed=11)

    draws = np.random.default_rng(11).integers(0, 60, size=(200, 60), dtype=np.int32)
    macro = [
        reference.f1_score(true[draw], predicted[draw], average="macro", zero_division=0) for draw in draws
    ]
    error = [calibration(confidence[draw], (true == predicted)[draw]).error for draw in draws]
    for name, values in (("macro_f1", macro), ("expected_calibration_error", error)):
        assert figures[name].standard_deviation == pytest.approx(np.std(values))
        assert (figures[name].low, figures[name].high) == pytest.approx(
            tuple(np.percentile(values, [2.5, 97.5]))
        )


def test_the_interval_of_the_accuracy_is_the_binomial_one() -> None:
    true = np.zeros(400, dtype=np.int64)
    predicted = (np.arange(400) < 100).astype(np.int64)  # 75 % right
    accuracy = estimates(true, predicted, np.full(400, 0.75), 2, repeats=2000, seed=1)["accuracy"]
    deviation = np.sqrt(0.75 * 0.25 / 400)
    assert accuracy.value == 0.75
    assert accuracy.standard_deviation == pytest.approx(deviation, rel=0.1)
    assert accuracy.low == pytest.approx(0.75 - 1.96 * deviation, abs=0.01)
    assert accuracy.high == pytest.approx(0.75 + 1.96 * deviation, abs=0.01)


def test_the_same_seed_gives_the_same_interval() -> None:
    random = np.random.default_rng(2)
    true, predicted = random.integers(0, 3, (2, 1500))
    confidence = random.random(1500)
    one, same, other = (estimates(true, predicted, confidence, 3, 2000, seed) for seed in (4, 4, 5))
    assert one == same
    assert one["accuracy"].low < one["accuracy"].value < one["accuracy"].high
    assert one["macro_f1"] != other["macro_f1"]


def test_f_beta_weighs_recall_and_precision() -> None:
    hits, predicted, support = (
        np.array([6.0]),
        np.array([8.0]),
        np.array([12.0]),
    )  # precision 0.75, recall 0.5
    assert f_beta(hits, predicted, support, 0.001)[0] == pytest.approx(0.75, abs=1e-4)
    assert f_beta(hits, predicted, support, 1000)[0] == pytest.approx(0.5, abs=1e-4)


def test_averages_take_many_confusion_matrices_at_once() -> None:
    hits = np.array([[1, 2], [3, 0]])
    both = averages(hits, np.array([[2, 2], [3, 1]]), np.array([[1, 3], [3, 1]]))
    alone = averages(hits[1], np.array([3, 1]), np.array([3, 1]))
    assert both["macro_f1"].shape == (2,)
    assert both["macro_f1"][1] == pytest.approx(float(alone["macro_f1"]))


# --- any number of labels -------------------------------------------------------------------------


@pytest.fixture(params=["usual", "a label never predicted", "a label absent", "nothing predicted", "one row"])
def indicators(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels, predicted labels, and the scores of all labels."""
    random = np.random.default_rng(9)
    true = random.random((150, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]
    scores = np.clip(0.7 * true + random.normal(0.15, 0.25, true.shape), 0, 1)
    if request.param == "a label never predicted":
        scores[:, 1] *= 0.4
    elif request.param == "a label absent":
        true[:, 4] = False
        scores[:, 4] *= 0.4
    elif request.param == "nothing predicted":
        scores *= 0.3
    elif request.param == "one row":
        true, scores = true[:1], scores[:1]
    return true, scores >= 0.5, scores


def test_the_figures_of_several_labels_are_scikit_learns(
    indicators: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    true, predicted, scores = indicators
    figures = label_estimates(true, predicted, scores, repeats=0, seed=1)
    occurring = np.flatnonzero(true.any(axis=0) | predicted.any(axis=0))
    averages = {"micro": None, "macro": occurring, "weighted": occurring}
    for kind, labels in averages.items():
        options = {"average": kind, "labels": labels, "zero_division": 0}
        if kind != "weighted":
            precision = reference.precision_score(true, predicted, **options)
            assert figures[f"{kind}_precision"].value == pytest.approx(precision)
            recall = reference.recall_score(true, predicted, **options)
            assert figures[f"{kind}_recall"].value == pytest.approx(recall)
        assert figures[f"{kind}_f1"].value == pytest.approx(reference.f1_score(true, predicted, **options))
    assert figures["exact_match"].value == pytest.approx(reference.accuracy_score(true, predicted))
    assert figures["hamming_loss"].value == pytest.approx(reference.hamming_loss(true, predicted))
    watched = label_summary(true, predicted)
    wanted = {"accuracy": "exact_match", "macro_f1": "macro_f1", "weighted_f1": "weighted_f1"}
    assert watched == {name: pytest.approx(figures[figure].value) for name, figure in wanted.items()}


def test_the_scores_of_each_label_are_scikit_learns(
    indicators: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    true, predicted, scores = indicators
    found = label_scores(true, predicted)
    expected = reference.precision_recall_fscore_support(true, predicted, zero_division=0)
    for ours, theirs in zip((found.precision, found.recall, found.f1, found.support), expected, strict=True):
        np.testing.assert_allclose(ours, theirs)
    figures = label_estimates(true, predicted, scores, repeats=0, seed=1)
    error = label_calibration(true, predicted, scores).error
    assert figures["expected_calibration_error"].value == pytest.approx(error)


def test_the_bootstrap_of_several_labels_draws_rows() -> None:
    random = np.random.default_rng(4)
    true = random.random((60, 4)) < 0.4
    scores = np.clip(0.6 * true + random.normal(0.2, 0.25, true.shape), 0, 1)
    predicted = scores >= 0.5
    figures = label_estimates(true, predicted, scores, repeats=200, seed=11)
    draws = np.random.default_rng(11).integers(0, 60, size=(200, 60), dtype=np.int32)
    expected = {
        "micro_f1": [reference.f1_score(true[draw], predicted[draw], average="micro") for draw in draws],
        "exact_match": [reference.accuracy_score(true[draw], predicted[draw]) for draw in draws],
        "hamming_loss": [reference.hamming_loss(true[draw], predicted[draw]) for draw in draws],
        "expected_calibration_error": [
            label_calibration(true[draw], predicted[draw], scores[draw]).error for draw in draws
        ],
    }
    for name, values in expected.items():
        assert figures[name].standard_deviation == pytest.approx(np.std(values))
        interval = tuple(np.percentile(values, [2.5, 97.5]))
        assert (figures[name].low, figures[name].high) == pytest.approx(interval)


def test_a_share_has_the_binomial_interval() -> None:
    rows = np.ones(400)
    right = (np.arange(400) < 300).astype(float)
    share = ratios({"right": (right, rows), "none": (rows * 0, rows * 0)}, repeats=2000, seed=1)
    deviation = np.sqrt(0.75 * 0.25 / 400)
    assert share["right"].value == 0.75 and share["none"].value == 0
    assert share["right"].low == pytest.approx(0.75 - 1.96 * deviation, abs=0.01)
    assert share["right"].high == pytest.approx(0.75 + 1.96 * deviation, abs=0.01)
