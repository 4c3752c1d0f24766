"""answers.py: from outputs to what a client is told, for each kind of target, with and without triage."""

import json
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from serving.bodies import CSV, JSON, JSON_LINES, Parameters, encode, say
from serving.targets import NO_LABEL, Rules, Target, columns_of, confidence_of, decide, probabilities

SENTIMENT = Target("sentiment", "one", ("bad", "mixed", "good"))
TOPICS = Target("topics", "several", ("care", "food; drink", "waiting"))
# two texts: "good" and two topics; "bad", hardly, and none
LOGITS = np.array([[0.1, 0.2, 4.0, 3.0, -2.0, 1.0], [0.4, 0.3, 0.2, -3.0, -4.0, -0.5]], dtype=np.float32)
ALL = Parameters(top_k=None)

Bounds = dict[str, float]


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

GOOD, BAD = {"label": "good", "score": 0.96}, {"label": "bad", "score": 0.37}
CARE, WAITING = {"label": "care", "score": 0.95}, {"label": "waiting", "score": 0.73}
TWO_TOPICS, NONE = {"labels": [CARE, WAITING]}, {"labels": []}


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
