"""From outputs to answers, and which of them a person is to review."""

import json
from typing import Any

import numpy as np
import pytest
from evaluation import triage
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from serving.bodies import CSV, JSON, JSON_LINES, Parameters, encode, say
from serving.targets import (
    NO_LABEL,
    Rules,
    Target,
    ask_a_person,
    choose,
    columns_of,
    confidence_of,
    decide,
    probabilities,
)
from sklearn.metrics import log_loss

SENTIMENT = Target("sentiment", "one", ("bad", "mixed", "good"))
TOPICS = Target("topics", "several", ("care", "food; drink", "waiting"))
# two texts: "good" and two topics; "bad", hardly, and none
LOGITS = np.array([[0.1, 0.2, 4.0, 3.0, -2.0, 1.0], [0.4, 0.3, 0.2, -3.0, -4.0, -0.5]], dtype=np.float32)
ALL = Parameters(top_k=None)

Bounds = dict[str, float]


GOOD, BAD = {"label": "good", "score": 0.96}, {"label": "bad", "score": 0.37}

CARE, WAITING = {"label": "care", "score": 0.95}, {"label": "waiting", "score": 0.73}

TWO_TOPICS, NONE = {"labels": [CARE, WAITING]}, {"labels": []}

ONE = Target("team", "one", ("a", "b", "c", "d"))

SEVERAL = Target("topics", "several", ("x", "y", "z"))


def answer(
    *targets: Target,
    form: str = JSON,
    single: bool = False,
    parameters: Parameters = Parameters(),  # noqa: B008
    temperature: float = 1.0,
    review: bool = False,
    decide_at: Bounds | None = None,
) -> Any:
    """Return the body that is answered for both texts, or for the first if single; JSON is decoded."""
    bounds = {
        "sentiment": dict.fromkeys(SENTIMENT.labels, 0.6),
        "topics": {"care": 0.6, "food; drink": 0.6, "waiting": 0.8, NO_LABEL: 0.5},
    }
    both = columns_of([SENTIMENT, TOPICS])
    outcomes = [
        decide(
            Rules(
                target,
                both[target is TOPICS],
                temperature,
                bounds[target.name] if review else None,
                decide_at if target is TOPICS else None,
            ),
            LOGITS[: 1 if single else 2, both[target is TOPICS]],
        )
        for target in targets
    ]
    records = [[say(outcome, row, parameters) for outcome in outcomes] for row in range(1 if single else 2)]
    body = encode(records, [(target, review) for target in targets], single, form)
    return (
        body
        if form == CSV
        else [json.loads(line) for line in body.splitlines()][0 if form == JSON else slice(None)]
    )


def rounded(value: Any) -> Any:
    """Return the answer with scores of two digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return round(value, 2) if isinstance(value, float) else value


# --- shapes ---------------------------------------------------------------------------------------


def test_a_single_target_answers_as_the_public_pipeline_does() -> None:
    assert rounded(answer(SENTIMENT)) == [GOOD, BAD]
    assert rounded(answer(SENTIMENT, single=True)) == [GOOD]
    assert rounded(answer(SENTIMENT, form=JSON_LINES)) == [[GOOD], [BAD]]
    ranked = answer(SENTIMENT, single=True, parameters=Parameters(top_k=2))
    assert [each["label"] for each in ranked] == ["good", "mixed"]


def test_any_number_of_labels_are_answered_best_first_and_may_be_none() -> None:
    assert rounded(answer(TOPICS)) == [TWO_TOPICS, NONE]
    assert rounded(answer(TOPICS, single=True)) == TWO_TOPICS
    assert rounded(answer(TOPICS, form=JSON_LINES)) == [TWO_TOPICS, NONE]
    assert rounded(answer(TOPICS, parameters=Parameters(top_k=1))) == [TWO_TOPICS, NONE]
    assert answer(TOPICS, decide_at={"waiting": 0.9})[0]["labels"][0]["label"] == "care"
    assert len(answer(TOPICS, decide_at={"waiting": 0.9})[0]["labels"]) == 1


def test_several_targets_are_answered_by_their_names() -> None:
    first, second = {"sentiment": GOOD, "topics": TWO_TOPICS}, {"sentiment": BAD, "topics": NONE}
    assert rounded(answer(SENTIMENT, TOPICS)) == [first, second]
    assert rounded(answer(SENTIMENT, TOPICS, single=True)) == first
    assert rounded(answer(SENTIMENT, TOPICS, form=JSON_LINES)) == [first, second]
    ranked = answer(SENTIMENT, TOPICS, parameters=ALL)[0]
    assert [each["label"] for each in ranked["sentiment"]] == ["good", "mixed", "bad"]
    assert rounded(ranked["topics"]) == TWO_TOPICS


def test_with_triage_each_target_says_whether_it_needs_review() -> None:
    first, second = rounded(answer(SENTIMENT, TOPICS, review=True))
    assert first == {
        "sentiment": {**GOOD, "needs_review": False},
        "topics": {**TWO_TOPICS, "needs_review": True},  # "waiting" is below 0.8
    }
    # none of the topics holds with 0.95 * 0.98 * 0.62
    assert second == {"sentiment": {**BAD, "needs_review": True}, "topics": {**NONE, "needs_review": False}}
    ranked = answer(SENTIMENT, review=True, parameters=ALL)[1]
    assert [each.get("needs_review") for each in ranked] == [True, None, None]
    assert rounded(answer(SENTIMENT, review=True, single=True)) == [{**GOOD, "needs_review": False}]


def test_csv_has_a_column_for_everything_that_is_said() -> None:
    assert answer(SENTIMENT, form=CSV).splitlines()[0] == "label,score"
    assert answer(TOPICS, form=CSV) == 'labels\ncare;waiting\n""\n'
    everything = answer(TOPICS, form=CSV, decide_at=dict.fromkeys(TOPICS.labels, 0.0)).splitlines()[1]
    assert everything == r"care;waiting;food\; drink"
    lines = answer(SENTIMENT, TOPICS, form=CSV, review=True).splitlines()
    assert (
        lines[0] == "sentiment_label,sentiment_score,sentiment_needs_review,topics_labels,topics_needs_review"
    )
    assert lines[1].startswith("good,0.95") and lines[1].endswith(",false,care;waiting,true")
    assert lines[2].startswith("bad,0.3") and lines[2].endswith(",true,,false")
    head = answer(SENTIMENT, TOPICS, form=CSV, parameters=Parameters(top_k=2)).splitlines()[0]
    assert head == "sentiment_label_1,sentiment_score_1,sentiment_label_2,sentiment_score_2,topics_labels"


# --- scores ---------------------------------------------------------------------------------------


def test_scores_are_calibrated_by_the_temperature() -> None:
    ours = answer(SENTIMENT, TOPICS, temperature=2.0, parameters=ALL)[0]
    best = {each["label"]: each["score"] for each in ours["sentiment"]}
    expected = softmax(LOGITS[0, :3] / 2)
    assert [best[label] for label in SENTIMENT.labels] == pytest.approx(expected.tolist(), rel=1e-6)
    scores = [each["score"] for each in ours["topics"]["labels"]]
    assert scores == pytest.approx(expit(LOGITS[0, [3, 5]] / 2).tolist(), rel=1e-6)


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none"])
def test_another_function_shows_other_scores_of_the_same_answer(function: str) -> None:
    plain = answer(SENTIMENT, TOPICS, review=True, parameters=ALL)
    other = answer(
        SENTIMENT, TOPICS, review=True, parameters=Parameters(top_k=None, function_to_apply=function)
    )
    apply = {"softmax": softmax, "sigmoid": expit, "none": np.asarray}[function]
    for row, (ours, theirs) in enumerate(zip(plain, other, strict=True)):
        shown = {each["label"]: each["score"] for each in theirs["sentiment"]}
        assert [shown[label] for label in SENTIMENT.labels] == pytest.approx(apply(LOGITS[row, :3]).tolist())
        assert [each["label"] for each in ours["topics"]["labels"]] == [
            each["label"] for each in theirs["topics"]["labels"]
        ]
        assert ours["topics"]["needs_review"] == theirs["topics"]["needs_review"]
        assert ours["sentiment"][0]["needs_review"] == theirs["sentiment"][0]["needs_review"]


def test_confidence_is_that_of_the_least_sure_label_or_of_none() -> None:
    scores = np.array([[0.9, 0.2, 0.7], [0.1, 0.2, 0.3]])
    assert confidence_of(scores, scores >= 0.5).tolist() == pytest.approx([0.7, 0.9 * 0.8 * 0.7])


def test_outputs_of_any_size_give_probabilities() -> None:
    logits = np.array([[800.0, -800.0, 0.0]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert probabilities(logits, "several").tolist() == [[1.0, 0.0, 0.5]]
        assert probabilities(logits, "one").tolist() == [[1.0, 0.0, 0.0]]


def outputs(rows: int, temperature: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and the truth that their softmax at this temperature describes exactly."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 5, (rows, 4))
    shares = softmax(logits / temperature, axis=1)
    truth = (random.random((rows, 1)) > shares.cumsum(axis=1)).sum(axis=1)
    return logits, np.minimum(truth, 3)


def several_outputs(rows: int, temperature: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and truth for ``SEVERAL``, likewise."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 5, (rows, 3))
    return logits, random.random((rows, 3)) < 1 / (1 + np.exp(-logits / temperature))


# --- temperature ----------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1.6, 2.5])
def test_the_temperature_that_made_the_truth_is_found(temperature: float) -> None:
    logits, truth = outputs(4000, temperature)
    assert triage.fit_temperature(ONE, logits, truth) == pytest.approx(temperature, rel=0.08)
    logits, truth = several_outputs(4000, temperature)
    assert triage.fit_temperature(SEVERAL, logits, truth) == pytest.approx(temperature, rel=0.08)


def test_it_has_the_highest_likelihood_by_another_optimiser() -> None:
    logits, truth = outputs(500, 2.0)
    found = minimize_scalar(
        lambda t: (
            -log_softmax(logits / t, axis=1)[np.arange(500), truth].sum() + 0.5 * (np.log(t) / np.log(2)) ** 2
        ),
        bounds=(0.2, 5),
        method="bounded",
    )
    assert triage.fit_temperature(ONE, logits, truth) == pytest.approx(found.x, rel=1e-3)


def test_the_likelihood_is_scikit_learns() -> None:
    logits, truth = outputs(100, 1.0)
    assert triage.negative_log_likelihood(ONE, logits, truth) == pytest.approx(
        log_loss(truth, softmax(logits, axis=1), labels=range(4))
    )
    logits, holds = several_outputs(100, 1.0)
    scores = 1 / (1 + np.exp(-logits))
    expected = sum(log_loss(holds[:, index], scores[:, index]) for index in range(3))
    assert triage.negative_log_likelihood(SEVERAL, logits, holds) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(8))
def test_scores_that_are_right_as_they_are_stay_so(seed: int) -> None:
    logits, truth = outputs(300, 1.0, seed)
    found = triage.fit_temperature(ONE, logits, truth)
    assert found == 1.0 or abs(found - 1) < 0.3


def test_a_few_rows_and_a_perfect_model_do_not_lead_to_extremes() -> None:
    for seed in range(10):
        assert 0.4 < triage.fit_temperature(ONE, *outputs(6, 1.0, seed)) < 2.5
    perfect = np.eye(4)[np.arange(40) % 4] * 3.0
    found = triage.fit_temperature(ONE, perfect, np.arange(40) % 4)
    assert 0.3 < found <= 1.0  # the likelihood alone would go to 0
    assert triage.fit_temperature(ONE, np.empty((0, 4)), np.empty(0, dtype=int)) == 1.0


# --- thresholds -----------------------------------------------------------------------------------


def test_the_lower_bound_is_wilsons() -> None:
    low, high = triage.precision_bounds(np.array([9, 14]), np.array([10, 14]))
    for share, rows, bound in ((0.9, 10, low[0]), (0.9, 10, high[0]), (1.0, 14, low[1])):
        # Wilson's bounds are where the share lies SURE standard deviations from the bound
        deviation = np.sqrt(bound * (1 - bound) / rows)
        assert abs(share - bound) == pytest.approx(triage.SURE * deviation)
    assert low[1] >= 0.95 > triage.precision_bounds(np.array(13), np.array(13))[0]


def test_the_threshold_is_the_lowest_score_that_reaches_the_precision() -> None:
    sure = np.linspace(0.999, 0.94, 60)
    right = np.arange(60) < 40
    taken = int((sure >= triage.threshold(sure, right, 0.9)).sum())
    assert 40 < taken < 60
    assert triage.precision_bounds(right[:taken].sum(), np.array(taken))[0] >= 0.9
    assert triage.precision_bounds(right[: taken + 1].sum(), np.array(taken + 1))[0] < 0.9
    modest = np.linspace(0.99, 0.6, 60)  # however many are right: the scores say that it was luck
    taken = modest >= triage.threshold(modest, np.ones(60, dtype=bool), 0.9)
    assert modest[taken].mean() >= 0.9 > np.append(modest[taken], modest[~taken][0]).mean()
    assert triage.threshold(sure[:5], right[:5], 0.9) == triage.ALWAYS  # too few to say so
    assert triage.threshold(np.empty(0), np.empty(0, dtype=bool), 0.9) == triage.ALWAYS


def test_answers_of_equal_score_are_taken_together() -> None:
    sure = np.array([0.9] * 20 + [0.8] * 20)
    right = np.array([True] * 20 + [True] * 10 + [False] * 10)
    assert triage.threshold(sure, right, 0.75) == pytest.approx(0.9)
    assert triage.threshold(sure, right, 0.65) == pytest.approx(0.8)


@pytest.mark.parametrize("precision", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("target", [ONE, SEVERAL])
def test_the_declared_precision_holds_on_texts_that_were_not_seen(target: Target, precision: float) -> None:
    make = outputs if target is ONE else several_outputs
    reached, covered = [], []
    for seed in range(30):
        logits, truth = make(400, 1.7, seed)
        settled = triage.settle(target, logits, truth, precision)
        logits, truth = make(4000, 1.7, 1000 + seed)
        scores = probabilities(logits, target.kind, settled["temperature"])
        chosen = choose(scores, target)
        accepted = ~ask_a_person(scores, chosen, target.labels, settled["review_below"])
        holds = truth if target is SEVERAL else np.eye(4, dtype=bool)[truth]
        right = (chosen & holds).sum(axis=1) + (~chosen.any(axis=1) & ~holds.any(axis=1))
        answers = np.maximum(1, chosen.sum(axis=1))
        reached.append(right[accepted].sum() / answers[accepted].sum())
        covered.append(accepted.mean())
    assert np.mean(reached) > precision
    assert np.mean(np.array(reached) < precision - 0.02) <= 0.1
    assert np.mean(covered) > 0.15


def test_a_label_whose_answers_are_mostly_wrong_always_needs_a_person() -> None:
    scores = np.full((200, 4), 0.02)
    truth = np.arange(200) % 2
    scores[np.arange(200), truth] = 0.94
    scores[:8] = [0.01, 0.01, 0.97, 0.01]  # answered "c", which is never right
    found = triage.review_below(ONE, scores, truth, 0.9)
    assert found["c"] == triage.ALWAYS
    assert found["a"] <= 0.94 and found["b"] <= 0.94
    assert found["d"] <= 0.94  # never answered: the threshold of all labels together


def test_no_label_at_all_is_an_answer_that_may_need_a_person_too() -> None:
    logits, truth = several_outputs(800, 1.0)
    settled = triage.settle(SEVERAL, logits, truth, 0.8)
    assert set(settled["review_below"]) == {"x", "y", "z", NO_LABEL}
    scores = np.array([[0.01, 0.02, 0.01], [0.45, 0.4, 0.45]])
    review = ask_a_person(scores, scores >= 0.5, SEVERAL.labels, settled["review_below"])
    assert review.tolist() == [False, True]


def test_without_a_declared_precision_nothing_is_changed() -> None:
    logits, truth = outputs(500, 3.0)
    expected = {"temperature": 1.0, "review_below": None, "decide_at": None}
    assert triage.settle(ONE, logits, truth, None) == expected


# --- the curve ------------------------------------------------------------------------------------


def test_the_curve_goes_from_the_surest_answer_to_all_of_them() -> None:
    confidence = np.array([0.9, 0.5, 0.7, 0.7])
    right = np.array([True, False, True, False])
    coverage, precision = triage.coverage_curve(confidence, right)
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert precision.tolist() == [1.0, pytest.approx(2 / 3), 0.5]
    coverage, precision = triage.coverage_curve(confidence, np.array([2, 0, 1, 1]), np.array([2, 1, 1, 2]))
    assert precision.tolist() == [1.0, pytest.approx(4 / 5), pytest.approx(4 / 6)]
