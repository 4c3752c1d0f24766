"""How the canary file's answers are judged, of a model with one target or with several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batch_inference import canary, report
from batch_inference.canary import Outcome
from batch_inference.config import Settings, load
from batch_inference.summary import Summary

ROWS = """comment,sentiment,topics
too dear,negative,fees
kind,positive,staff;speed
hello,neutral,
"""
SUMMARY = {
    "version": 1,
    "rows": 3,
    "answered": 3,
    "empty": 0,
    "bad": 0,
    "errors": {},
    "model_package_version": 4,
    "source": {"key": "input/canary/a.csv"},
    "result_key": "output/canary/a.csv",
}
FIGURES: dict[str, Any] = {"labels": {}, "mean_scores": {}}
ONE = Summary.of({**SUMMARY, **FIGURES}, "here")
TWO = Summary.of(
    {
        **SUMMARY,
        "targets": {
            "sentiment": {**FIGURES, "needs_review": 1},
            "topics": {**FIGURES, "several": True, "without_label": 1},
        },
    },
    "here",
)
Configured = Callable[[str], Settings]


@pytest.fixture
def configured(repository: Path, edit: Callable[[str, str, str], None]) -> Configured:
    """The settings, with these keys of the canary."""

    def run(keys: str) -> Settings:
        (repository / "examples/canary.csv").write_text(ROWS, encoding="utf-8")
        old = "canary: {file: examples/canary.csv, label_column: sentiment}"
        edit("config/transform.yaml", old, f"canary: {{file: examples/canary.csv, {keys}}}")
        return load(repository)

    return run


def one(*labels: str) -> list[dict[str, Any]]:
    return [{"label": label, "score": "0.9", "error": "" if label else "no"} for label in labels]


def two(*rows: tuple[str, Any], score: Any = "0.9", review: Any = "false") -> list[dict[str, Any]]:
    names = ("sentiment_label", "sentiment_score", "sentiment_needs_review", "topics_labels", "topics_scores")
    return [dict(zip(names, (label, score, review, topics, ""), strict=True)) for label, topics in rows]


RIGHT = two(("negative", "fees"), ("positive", "speed;staff"), ("neutral", ""))


@pytest.mark.parametrize(
    ("keys", "answers", "summary", "problems"),
    [
        ("label_column: sentiment", one("negative", "positive", "neutral"), ONE, []),
        ("label_column: sentiment", RIGHT, TWO, []),
        ("label_column: {sentiment: sentiment}", one("negative", "positive", "neutral"), ONE, []),
        ("label_column: {sentiment: sentiment, topics: topics}", RIGHT, TWO, []),
        ("label_column: null", RIGHT, TWO, []),
        (
            "label_column: {sentiment: sentiment, topics: topics}",
            two(("negative", "staff"), ("negative", "staff"), ("neutral", "fees")),
            TWO,
            [
                "version 4 gave 0 of 3 rows the right topics, 0 %; expected at least 60 % "
                "(canary.min_agreement_percent)"
            ],
        ),
        (
            "label_column: {sentiment: sentiment, topics: topics}",
            one("negative", "positive", "neutral"),
            ONE,
            [
                "canary.label_column: expected targets of the model, got sentiment, topics; version 4 "
                "answers a single target: change it in config/transform.yaml",
                "examples/canary.csv: expected labels in the column sentiment or topics, found none",
            ],
        ),
        (
            "label_column: category",
            RIGHT,
            TWO,
            [
                "canary.label_column: expected targets of the model, got category; version 4 answers the "
                "targets sentiment, topics: change it in config/transform.yaml",
                "examples/canary.csv: expected labels in the column category, found none",
            ],
        ),
        (
            "label_column: null",
            one("negative", "", "neutral"),
            ONE,
            ["examples/canary.csv: row 2 has no answer: no"],
        ),
    ],
)
def test_each_target_must_agree_with_its_column(
    configured: Configured, keys: str, answers: list[dict[str, Any]], summary: Summary, problems: list[str]
) -> None:
    rows, found = canary.judge(configured(keys), answers, summary)
    assert list(found) == problems
    assert [row.text for row in rows] == ["too dear", "kind", "hello"]


def test_json_lines_are_judged_as_csv_is(configured: Configured) -> None:
    settings = configured("label_column: {sentiment: sentiment, topics: topics}")
    lists = two(
        ("negative", ["fees"]), ("positive", ["speed", "staff"]), ("neutral", []), score=0.9, review=False
    )
    assert canary.judge(settings, lists, TWO) == canary.judge(settings, RIGHT, TWO)


def test_labels_in_a_cell_are_told_apart() -> None:
    cells = {"": [], "fees": ["fees"], "fees; staff": ["fees", "staff"], r"a\;b;\\": ["a;b", "\\"]}
    assert {cell: canary.parted(cell) for cell in cells} == cells


def test_the_report_shows_each_target_and_what_needs_review(configured: Configured) -> None:
    settings = configured("label_column: {sentiment: sentiment, topics: topics}")
    answers = two(("negative", "fees"), ("<b>", "speed"), ("neutral", ""), review="true")
    rows, problems = canary.judge(settings, answers, TWO)
    outcome = Outcome(rows, problems, 4, 12.0, "e1")
    assert outcome.in_words() == (
        "model version 4 answered 3 rows of the canary file in 12 s, 2 of 3 with the right sentiment, "
        "2 of 3 with the right topics"
    )
    shown = report._rows(outcome)
    assert "sentiment: expected" in shown and "topics: expected" in shown
    assert '<td>positive</td><td class="failed">&lt;b&gt; 0.90<small>needs review</small></td>' in shown
    assert '<td>staff, speed</td><td class="failed">speed</td>' in shown
    assert '<td>no label</td><td class="passed">no label</td>' in shown
