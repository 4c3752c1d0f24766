"""The page that a person reads before production."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from serverless_inference import report, smoke
from serverless_inference.config import Settings, SmokeTest, load
from serverless_inference.endpoint import Label, Said
from serverless_inference.record import Model, Record
from serverless_inference.smoke import Answer, Outcome

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Reads a page and fails where its tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self.open and self.open[-1] != "style" else ""


def record(settings: Settings, version: int, where: str = "staging", **changed: Any) -> Record:
    chosen = settings.environment(where).model_dump(
        mode="json", exclude={"enabled", "endpoint_name", "smoke_test"}
    )
    model = Model(
        f"arn:aws:sagemaker:ca-central-1:111111111111:model-package/email-router/{version}",
        "email-router",
        version,
        f"s3://models/{version}/model.tar.gz",
        "111111111111.dkr.ecr.ca-central-1.amazonaws.com/image:1",
    )
    return Record(where, settings.endpoint_name(where), model, {**chosen, **changed}, "0123abc", "4567def")


@pytest.fixture
def settings(repository: Path) -> Settings:
    return load(repository)


def outcome(settings: Settings, **wrong: Answer) -> Outcome:
    """A good outcome, but for the answers given as `r2=…`."""
    test = settings.endpoint.smoke_test
    answers = [Answer(1, True, 4000, {"": Said((Label("billing", 0.9),))})]
    for number, expected in enumerate(test.requests, 1):
        right = Answer(
            number, False, 80, {"": Said((Label(str(expected.label), 0.9), Label("general", 0.05)))}
        )
        answers.append(wrong.get(f"r{number}", right))
    return smoke.judge(test, answers)


def page(record: Record, before: Record | None, outcome: Outcome) -> Page:
    return Page(report.html(record, before, outcome, project="Email Router", execution="e-1"))


def test_it_says_what_was_deployed_and_how_it_did(settings: Settings) -> None:
    found = page(record(settings, 3), None, outcome(settings))
    for words in (
        "Email Router: email-router version 3 in staging",
        "Passed",
        "3 of 3 requests answered as expected",
        "cold start 4.0 s",
        "arn:aws:sagemaker:ca-central-1:111111111111:model-package/email-router/3",
        "0123abc",
        "e-1",
        "Nothing was live before.",
        "make promote",
        "then general 0.05",
        "Invoice | You charged us twice.",
    ):
        assert words in found.text, words


def test_it_loads_nothing_and_runs_nothing(settings: Settings) -> None:
    found = page(record(settings, 3), record(settings, 2), outcome(settings))
    assert {tag for tag, _ in found.tags}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "form", "a"}
    )
    assert not any(
        name.startswith("on") or name in ("src", "href") for _, each in found.tags for name in each
    )
    html = report.html(record(settings, 3), None, outcome(settings), project="p", execution="e")
    assert "url(" not in html and "@import" not in html and "prefers-color-scheme: dark" in html


def test_what_models_and_people_write_cannot_become_markup(settings: Settings) -> None:
    attack = "</style><script>alert(1)</script>\"'&"
    bad = Answer(2, False, 80, (), attack)
    odd = Answer(3, False, 80, {"": Said((Label(attack, 0.5),))})
    where = record(settings, 3, environment={"X": attack})
    html = report.html(where, None, outcome(settings, r2=bad, r3=odd), project=attack, execution=attack)
    found = Page(html)
    assert "script" not in {tag for tag, _ in found.tags}
    assert found.text.count(attack) >= 5


def test_a_failure_comes_first_with_every_problem_and_what_to_do(settings: Settings) -> None:
    bad = Answer(2, False, 80, (), "endpoint x: the model failed: no module named onnx")
    wrong = Answer(3, False, 80, {"": Said((Label("gas", 0.71),))})
    found = page(record(settings, 3), record(settings, 2), outcome(settings, r2=bad, r3=wrong))
    first = found.text[: found.text.index("Requests")]
    assert "Failed" in first and "no module named onnx" in first and "got gas 0.71" in first
    assert "email-router version 2 serves again" in found.text
    assert "make promote" not in found.text


def test_what_changed_since_the_last_deployment_is_listed_key_by_key(settings: Settings) -> None:
    kept = {"minimum": 1, "maximum": 2, "target_utilization": 0.7, "schedule": []}
    now = record(settings, 3, memory_mb=4096, provisioned_concurrency=kept, environment={"NEW": "1"})
    before = record(settings, 2, environment={"OLD": "1"})
    changes = {each.what: (each.before, each.now) for each in report.changes(now, before)}
    assert changes["model"] == ("email-router version 2", "email-router version 3")
    assert changes["memory_mb"] == ("3072", "4096")
    assert changes["environment.OLD"] == ("1", None) and changes["environment.NEW"] == (None, "1")
    assert changes["provisioned_concurrency"] == ("none", None)
    assert changes["provisioned_concurrency.maximum"] == (None, "2")
    assert "max_concurrency" not in changes and "commit" not in changes


def test_the_same_again_is_called_the_same(settings: Settings) -> None:
    found = page(record(settings, 2), record(settings, 2), outcome(settings))
    assert "Nothing: email-router version 2 was live before, with the same settings." in found.text


def test_in_production_nobody_is_asked_to_promote(settings: Settings) -> None:
    found = page(record(settings, 3, "production"), None, outcome(settings))
    assert "It is live." in found.text and "make promote" not in found.text


def test_an_endpoint_that_never_answered_has_a_report_too(settings: Settings) -> None:
    silent = smoke.judge(settings.endpoint.smoke_test, [Answer(1, True, 0, (), "busy")])
    found = page(record(settings, 3), None, silent)
    assert "not measured" in found.text and "not asked" in found.text and "nothing serves" in found.text


def test_each_target_of_an_answer_is_shown_and_what_needs_review(settings: Settings) -> None:
    test = SmokeTest.model_validate(
        {"requests": [{"text": "Dear.", "label": {"sentiment": "negative", "topics": ["fees"]}}]}
    )
    said = {
        "sentiment": Said((Label("negative", 0.9), Label("neutral", 0.1)), needs_review=True),
        "topics": Said((Label("fees", 0.8), Label("staff", 0.7)), several=True, needs_review=False),
    }
    found = page(record(settings, 3), None, smoke.judge(test, [Answer(1, False, 80, said)]))
    assert "sentiment: negative" in found.text and "topics: fees" in found.text
    assert "sentiment: negative 0.90" in found.text and "topics: fees 0.80, staff 0.70" in found.text
    assert "needs review: sentiment" in found.text and "then neutral" not in found.text
