"""The smoke test: asking an endpoint over HTTP, and judging what it answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from serverless_inference import smoke
from serverless_inference.config import Expectation, SmokeTest, load
from serverless_inference.endpoint import PATIENCE, AskError, ByTarget, Endpoint, Label, Said
from serverless_inference.smoke import Answer

RIGHT = {"You charged us twice.": "billing", "elevator": "elevators", "Ferris": "amusement_devices"}


@pytest.fixture
def expected(repository: Path) -> SmokeTest:
    return load(repository).endpoint.smoke_test


def good(text: Any) -> list[tuple[str, float]]:
    """A model that is right about each request of the sample."""
    words = json.dumps(text)
    return [(next(label for part, label in RIGHT.items() if part in words), 0.9), ("general", 0.1)]


def right_answers(expected: SmokeTest, ms: float = 80) -> list[Answer]:
    """What a good endpoint answers: a cold start, then every request five times."""
    numbered = list(enumerate(expected.requests, 1))
    cold = Answer(1, True, 4000, one(str(expected.requests[0].label), 0.9))
    return [
        cold,
        *(Answer(n, False, ms, one(str(each.label), 0.9)) for _ in range(5) for n, each in numbered),
    ]


def one(label: str, score: float) -> ByTarget:
    """What a model with a single target said."""
    return {"": Said((Label(label, score),))}


def test_a_good_endpoint_passes_and_every_answer_is_kept(
    endpoint: Endpoint, service: Any, expected: SmokeTest
) -> None:
    service.model = good
    outcome = smoke.run(endpoint, expected)
    assert outcome.passed and not outcome.problems
    assert len(outcome.answers) == 1 + 5 * 3 == len(service.requests)
    assert [answer.cold for answer in outcome.answers] == [True] + [False] * 15
    assert service.endpoints[0] == "email-router-staging"
    first = {"subject": "Invoice", "body": "You charged us twice."}
    assert service.requests[0] == {"inputs": [first], "parameters": {"top_k": 3}}
    assert outcome.answers[0].said == {"": Said((Label("billing", 0.9), Label("general", 0.1)))}
    assert all(answer.ms > 0 for answer in outcome.answers)
    assert "passed 3 smoke-test requests (cold start" in outcome.in_words()


def test_a_model_that_raises_is_shown_with_its_own_words_and_not_asked_again(
    endpoint: Endpoint, service: Any, expected: SmokeTest, refusal: Any
) -> None:
    def model(text: Any) -> list[tuple[str, float]]:
        if "elevator" in json.dumps(text):
            words = json.dumps({"code": 400, "message": "no module named onnx"})
            members = {"OriginalStatusCode": 400, "OriginalMessage": words, "LogStreamArn": "arn"}
            raise refusal(424, "ModelError", "Received client error (400) from primary", **members)
        return good(text)

    service.model = model
    outcome = smoke.run(endpoint, expected)
    assert outcome.problems == (
        "request 2: expected label elevators with score >= 0.5, got no answer: "
        "endpoint email-router-staging: the model failed: no module named onnx (status 400)",
    )
    assert sum("elevator" in json.dumps(request) for request in service.requests) == 1


def test_a_busy_endpoint_is_asked_again_and_the_wait_counts_for_the_cold_start_only(
    endpoint: Endpoint, service: Any, expected: SmokeTest, refusal: Any, clock: Any
) -> None:
    service.model = good
    service.refusals = [
        refusal(429, "ThrottlingException", "Rate exceeded"),
        refusal(503, "ServiceUnavailable", "starting"),
    ]
    outcome = smoke.run(endpoint, expected)
    assert outcome.passed and len(clock.naps) == 2
    assert clock.naps[0] <= clock.naps[1] <= 2, "it waits longer each time"
    assert outcome.cold_start_ms == pytest.approx(1000 * sum(clock.naps))
    assert outcome.p95_ms == 0


def test_an_endpoint_that_stays_busy_is_given_up_and_not_waited_for_again(
    endpoint: Endpoint, service: Any, expected: SmokeTest, refusal: Any, clock: Any
) -> None:
    service.refusals = [refusal(429, "ThrottlingException", "Rate exceeded") for _ in range(100)]
    outcome = smoke.run(endpoint, expected)
    assert not outcome.passed and len(outcome.problems) == 3
    assert "busy or not ready, after" in outcome.problems[0] and "Rate exceeded" in outcome.problems[0]
    assert PATIENCE - 8 <= clock.now <= PATIENCE


def test_an_endpoint_that_is_not_there_is_said_to_be_missing(
    endpoint: Endpoint, service: Any, refusal: Any
) -> None:
    message = "Endpoint email-router-staging of account 111111111111 not found."
    service.refusals = [refusal(400, "ValidationError", message)]
    with pytest.raises(AskError, match="endpoint email-router-staging is not there: no version"):
        endpoint.ask(["hello"])
    assert len(service.requests) == 1


def test_an_answer_in_another_form_is_not_taken_for_labels(
    endpoint: Endpoint, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "answer", lambda endpoint, request: {"predictions": [1]})
    with pytest.raises(
        AskError, match=r'expected labels and scores for 1 text.*got \{"predictions": \[1\]\}'
    ):
        endpoint.ask(["hello"])


def test_a_text_beyond_the_service_s_limit_is_not_sent(endpoint: Endpoint, service: Any) -> None:
    with pytest.raises(AskError, match="at most 4,194,304 bytes"):
        endpoint.ask(["x" * 4 * 1024 * 1024])
    assert not service.requests


def test_a_wrong_label_or_a_low_score_is_a_problem_even_once(expected: SmokeTest) -> None:
    answers = right_answers(expected)
    assert smoke.judge(expected, answers).passed
    answers[-2] = answers[-2]._replace(said={"": Said((Label("elevators", 0.4), Label("gas", 0.3)))})
    answers[-1] = answers[-1]._replace(said=one("gas", 0.71))
    assert smoke.judge(expected, answers).problems == (
        "request 2: expected label elevators with score >= 0.5, got elevators 0.40",
        "request 3: expected label amusement_devices, got gas 0.71",
    )


def test_a_request_that_was_not_asked_is_a_problem(expected: SmokeTest) -> None:
    answers = [answer for answer in right_answers(expected) if answer.request != 3]
    assert smoke.judge(expected, answers).problems == (
        "request 3: expected label amusement_devices, was not asked",
    )


def test_slow_answers_are_a_problem_of_their_own(expected: SmokeTest) -> None:
    answers = right_answers(expected, ms=1200)
    answers[0] = answers[0]._replace(ms=31_000)
    assert smoke.judge(expected, answers).problems == (
        "cold start: expected the first answer within 30000 ms, got 31000 ms",
        "latency: expected 95 % of 15 warm answers within 1000 ms, got 1200 ms",
    )


def test_one_slow_answer_of_twenty_five_is_within_what_95_percent_means(expected: SmokeTest) -> None:
    answers = right_answers(expected)
    more = [*answers, *answers[1:11]]
    more[3] = more[3]._replace(ms=9000)
    outcome = smoke.judge(expected, more)
    assert len(outcome.warm) == 25 and outcome.passed and outcome.p95_ms == 80


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (95, 4.0), (0, 1.0), (100, 4.0), (75, 3.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert smoke.percentile([4.0, 1.0, 3.0, 2.0], percent) == value
    assert smoke.percentile([], percent) is None


# Several targets


def both(sentiment: str = "negative", topics: tuple[str, ...] = ("fees", "staff")) -> ByTarget:
    """What a model with two targets said."""
    return {
        "sentiment": Said((Label(sentiment, 0.9), Label("neutral", 0.1)), needs_review=True),
        "topics": Said(tuple(Label(topic, 0.75) for topic in topics), several=True),
    }


@pytest.mark.parametrize(
    ("label", "said", "problems"),
    [
        ({"sentiment": "negative", "topics": ["fees"]}, both(), []),
        ({"topics": ["staff", "fees"]}, both(), []),
        ({"topics": "staff"}, both(), []),
        ({"topics": []}, both(topics=()), []),
        ({"sentiment": "negative"}, {"": Said((Label("negative", 0.9),))}, []),
        ("negative", {"": Said((Label("negative", 0.9),))}, []),
        ("fees", {"": both()["topics"]}, []),
        (
            {"sentiment": "positive", "topics": ["fees", "speed"]},
            both(),
            [
                "expected sentiment positive with score >= 0.5, got negative 0.90",
                "expected topics fees, speed with score >= 0.5, got fees 0.75, staff 0.75",
            ],
        ),
        ({"topics": []}, both(), ["expected topics no label, got fees 0.75, staff 0.75"]),
        ({"topics": ["fees"]}, both(topics=()), ["expected topics fees with score >= 0.5, got no label"]),
        (
            "negative",
            both(),
            [
                "expected label negative, got an answer for each of sentiment, topics: say in "
                "smoke_test.requests which label is expected of which, {target: label}"
            ],
        ),
        ({"category": "fees"}, both(), ["expected the target category, got sentiment, topics"]),
        (
            {"sentiment": "negative", "topics": ["fees"]},
            {"": Said((Label("negative", 0.9),))},
            ["expected the targets sentiment, topics, got negative 0.90 of a single target"],
        ),
    ],
)
def test_each_target_is_compared_with_what_is_expected_of_it(
    label: Any, said: ByTarget, problems: list[str]
) -> None:
    expected = Expectation.model_validate({"text": "Dear.", "label": label, "minimum_score": 0.5})
    assert smoke.wrong(expected, said) == problems
    judged = smoke.judge(SmokeTest(requests=[expected]), [Answer(1, False, 80, said)])
    assert judged.problems == ((f"request 1: {'; '.join(problems)}",) if problems else ())


def test_an_endpoint_with_several_targets_is_asked_and_judged(endpoint: Endpoint, service: Any) -> None:
    topics = {"labels": [{"label": "fees", "score": 0.8}], "needs_review": False}
    service.model_answer = lambda text, top: {
        "sentiment": [
            {"label": "negative", "score": 0.9, "needs_review": True},
            {"label": "x", "score": 0.1},
        ][:top],
        "topics": topics,
    }
    test = SmokeTest.model_validate(
        {"requests": [{"text": "Dear.", "label": {"sentiment": "negative", "topics": ["fees"]}}]}
    )
    outcome = smoke.run(endpoint, test)
    assert outcome.passed, outcome.problems
    assert outcome.answers[0].said == {
        "sentiment": Said((Label("negative", 0.9), Label("x", 0.1)), False, True),
        "topics": Said((Label("fees", 0.8),), True, False),
    }


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({}, "expected .*, or one of them for each target, got {}"),
        ([], r'expected {"label": …, "score": …}, or {"labels": .*, got \[\]'),
        ({"sentiment": None}, "sentiment: expected .*, got None"),
        ({"sentiment": []}, r"sentiment: expected .*, got \[\]"),
        ({"topics": {"labels": ["fees"]}}, "topics: expected .* with a text and a number, got fees"),
        ({"topics": {"labels": "fees"}}, "topics: expected .* with a text and a number"),
        ({"sentiment": {"label": "a", "score": "0.5"}}, "sentiment: expected .* with a text and a number"),
        ({"sentiment": {"label": "a", "score": True}}, "with a text and a number"),
        ({"label": "a", "score": float("nan")}, "with a text and a number, got"),
        ({"label": "a", "score": 10**400}, "with a text and a number, got"),
        ({"label": "a", "score": 0.5, "needs_review": "no"}, "needs_review: expected true or false, got no"),
        (
            {"topics": {"labels": [], "needs_review": 1}},
            "topics: needs_review: expected true or false, got 1",
        ),
    ],
)
def test_an_answer_in_no_known_form_is_an_error_that_names_the_target(
    endpoint: Endpoint, service: Any, answer: Any, problem: str
) -> None:
    service.model_answer = lambda text, top: answer
    with pytest.raises(AskError, match=rf"(?s)expected labels and scores for 1 text\(s\).*\(.*{problem}"):
        endpoint.ask(["Dear."])


def test_a_missing_answer_is_an_error(
    endpoint: Endpoint, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        service, "answer", lambda endpoint, request: [both()["sentiment"].to_json()["answers"]]
    )
    with pytest.raises(AskError, match="expected 2 answers, got 1"):
        endpoint.ask(["Dear.", "Fine."])
