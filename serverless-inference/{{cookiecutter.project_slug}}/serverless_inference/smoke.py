"""Proves an endpoint with the real requests of `config/endpoint.yaml`: labels, scores, and times.

Asking (`ask`) and judging (`judge`) are apart, so that a judgement can be made again from what was kept.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .config import Expectation, SmokeTest
from .endpoint import ONE, PATIENCE, AskError, ByTarget, Endpoint, Said

ROUNDS = 5
"""How often each request is asked of the warm endpoint."""

MOST_FAILURES = 5
"""Requests without an answer, after which the endpoint is not asked any more: each may take a minute."""

TOP = 3
"""Labels that are kept of each answer, for the report."""


class Answer(NamedTuple):
    """What came back for one request.

    Attributes:
        request: its number in the smoke test, from 1.
        cold: the very first request of all.
        ms: how long it took, network included; for the cold one with all waiting.
        said: of each target; empty if there was no answer.
        error: why there was none; None if there was one.
    """

    request: int
    cold: bool
    ms: float
    said: ByTarget = {}
    error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What the smoke test found.

    Attributes:
        test: what was expected.
        answers: every answer, in the order of asking.
        problems: what is wrong, as sentences; empty: the endpoint is good.
        cold_start_ms: how long the very first answer took; None if there was none.
        p50_ms, p95_ms: half, and 95 %, of the warm answers took at most this; None if there were none.
    """

    test: SmokeTest
    answers: tuple[Answer, ...]
    problems: tuple[str, ...]
    cold_start_ms: float | None
    p50_ms: float | None
    p95_ms: float | None

    @property
    def passed(self) -> bool:
        """Whether the endpoint is good."""
        return not self.problems

    @property
    def warm(self) -> list[float]:
        """Milliseconds of the warm answers."""
        return [answer.ms for answer in self.answers if not answer.cold and answer.error is None]

    def in_words(self) -> str:
        """For a person, after the model's name: `passed 5 smoke-test requests (cold start 4.1 s, …)`."""
        if not self.passed:
            return f"failed the smoke test: {self.problems[0]}"
        times = [
            f"cold start {seconds(self.cold_start_ms)}",
            f"95 % of the others within {seconds(self.p95_ms)}",
        ]
        count = len(self.test.requests)
        return f"passed {count} smoke-test request{'s' if count != 1 else ''} ({', '.join(times)})"


def run(endpoint: Endpoint, test: SmokeTest) -> Outcome:
    """Asks the endpoint and judges what it answers.

    An endpoint that does not answer is an outcome, too, and raises nothing.
    """
    return judge(test, list(ask(endpoint, test)))


def ask(endpoint: Endpoint, test: SmokeTest) -> Iterator[Answer]:
    """Asks the first request once, cold, then every request `ROUNDS` times.

    One that fails is not asked again, and an endpoint that has failed once is not waited for again.
    """
    failed: set[int] = set()
    for number, cold in [(1, True), *_rounds(len(test.requests))]:
        if number in failed:
            continue
        if len(failed) == MOST_FAILURES:
            return
        patience = 0.0 if failed else PATIENCE
        answer = _ask_one(endpoint, test.requests[number - 1], number, cold, patience)
        if answer.error is not None:
            failed.add(number)
        yield answer


def judge(test: SmokeTest, answers: Sequence[Answer]) -> Outcome:
    """Compares answers with what was expected of them."""
    cold = next((answer.ms for answer in answers if answer.cold and answer.error is None), None)
    warm = [answer.ms for answer in answers if not answer.cold and answer.error is None]
    p50, p95 = percentile(warm, 50), percentile(warm, 95)
    problems = [
        problem
        for number, expected in enumerate(test.requests, 1)
        if (problem := _problem(number, expected, [each for each in answers if each.request == number]))
    ]
    if cold is not None and cold > test.cold_start_ms:
        problems.append(
            f"cold start: expected the first answer within {test.cold_start_ms} ms, got {cold:.0f} ms"
        )
    if p95 is not None and p95 > test.latency_ms:
        problems.append(
            f"latency: expected 95 % of {len(warm)} warm answers within {test.latency_ms} ms, "
            f"got {p95:.0f} ms"
        )
    return Outcome(test, tuple(answers), tuple(problems), cold, p50, p95)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that at least `percent` % of the values do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def seconds(ms: float | None) -> str:
    """A duration for a person: `85 ms`, `4.1 s`."""
    if ms is None:
        return "not measured"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def failing(expected: Expectation, answer: Answer) -> bool:
    """Whether an answer is not what was expected."""
    return bool(answer.error is not None or wrong(expected, answer.said))


def wrong(expected: Expectation, said: ByTarget) -> list[str]:
    """What of an answer is not as expected, as sentences: `expected label gas, got billing 0.93`."""
    wanted = expected.targets
    if list(said) == [ONE] and len(wanted) == 1:  # an answer does not tell the name of a single target
        wanted = {ONE: next(iter(wanted.values()))}
    if unknown := [name for name in wanted if name not in said]:
        if ONE in said:
            return [
                f"expected the targets {', '.join(wanted)}, got {said[ONE].in_words()} of a single target"
            ]
        if ONE in wanted:
            return [
                f"expected label {wanted[ONE]}, got an answer for each of {', '.join(said)}: say in "
                "smoke_test.requests which label is expected of which, {target: label}"
            ]
        return [f"expected the target {', '.join(unknown)}, got {', '.join(said)}"]
    return [
        f"{in_words(name, labels, expected.minimum_score)}, got {said[name].in_words()}"
        for name, labels in wanted.items()
        if not _as_wanted(labels, expected.minimum_score, said[name])
    ]


def in_words(target: str, labels: str | list[str], minimum_score: float) -> str:
    """What is expected of a target: `expected label gas with score >= 0.5`."""
    words = labels if isinstance(labels, str) else ", ".join(labels) or "no label"
    score = f" with score >= {minimum_score:g}" if minimum_score > 0 and labels else ""
    return f"expected {target or 'label'} {words}{score}"


def _as_wanted(labels: str | list[str], minimum_score: float, said: Said) -> bool:
    """Whether the label comes first, or all of several are among those that were answered; and scores do."""
    if isinstance(labels, str) and not said.several:
        best = said.labels[0]
        return best.label == labels and best.score >= minimum_score
    wanted = [labels] if isinstance(labels, str) else labels
    scores = {label: score for label, score in (said.labels if said.several else said.labels[:1])}
    if not wanted:
        return not scores
    return all(scores.get(label, -1.0) >= minimum_score for label in wanted)


def _rounds(requests: int) -> Iterator[tuple[int, bool]]:
    for _ in range(ROUNDS):
        for number in range(1, requests + 1):
            yield number, False


def _ask_one(endpoint: Endpoint, expected: Expectation, number: int, cold: bool, patience: float) -> Answer:
    try:
        reply = endpoint.ask([expected.text], TOP, patience)
    except AskError as error:
        return Answer(number, cold, 0.0, error=str(error))
    return Answer(number, cold, reply.total_ms if cold else reply.ms, reply.answers[0])


def _problem(number: int, expected: Expectation, answers: Sequence[Answer]) -> str | None:
    wanted = "; ".join(
        in_words(name, labels, expected.minimum_score) for name, labels in expected.targets.items()
    )
    bad = next((answer for answer in answers if failing(expected, answer)), None)
    if bad is None:
        return None if answers else f"request {number}: {wanted}, was not asked"
    if bad.error is not None:
        return f"request {number}: {wanted}, got no answer: {bad.error}"
    return f"request {number}: {'; '.join(wrong(expected, bad.said))}"
