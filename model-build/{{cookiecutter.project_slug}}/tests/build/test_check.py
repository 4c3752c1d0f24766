"""`check` reads the labels, and says what a run would refuse."""

import json

import pytest

from model_build.check import check
from model_build.load import load

MODEL = "config/model.yaml"


@pytest.fixture
def look(two_targets, edit):
    """Writes rows of subject, sentiment and topics as the data; returns what check finds."""
    edit(MODEL, "[subject, body]", "[subject]")
    edit(MODEL, "group_column: conversation", "group_column: null")

    def look(rows: list[tuple[str, str, object]], name: str = "data/emails.csv") -> list[tuple[bool, str]]:
        edit(MODEL, "source: data/emails.csv", f"source: {name}")
        if name.endswith("csv"):
            lines = ["subject,sentiment,topics", *(",".join(map(str, row)) for row in rows)]
        else:
            lines = [
                json.dumps(dict(zip(("subject", "sentiment", "topics"), row, strict=True))) for row in rows
            ]
        (two_targets / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [(each.good, each.text) for each in check(load(two_targets), None)]

    return look


GOOD = [
    (f"text {number}", ("good", "bad")[number % 2], "food;staff" if number % 3 else "")
    for number in range(12)
]


@pytest.mark.parametrize("name", ["data/emails.csv", "data/comments.jsonl"])
def test_each_targets_labels_are_counted(look, name):
    rows = GOOD
    if name.endswith("jsonl"):
        rows = [(text, mood, topics.split(";") if topics else None) for text, mood, topics in GOOD]
    mood = "sentiment has 2 classes, the rarest is 'bad' (6)"
    topics = "topics has 2 labels, the rarest is 'food' (8)"
    assert (True, f"{name}: 12 rows; {mood}; {topics}") in look(rows, name)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [*GOOD, ("x", " ", "food")],
            "data.targets.sentiment: expected a label in 'sentiment' of at least 99.00% of the rows, found "
            "none in 1 of 13 (data/emails.csv row 13); label them, or raise data.max_bad_label_share",
        ),
        (
            [*GOOD, ("x", "good", "parking"), ("y", "good", "parking; food")],
            "data.targets.topics: expected at least 3 texts of each class, one for each set, found fewer of "
            "'parking' (2)",
        ),
        (
            [row for row in GOOD if row[1] == "good"],
            "data.targets.sentiment: expected at least two classes in 'sentiment'",
        ),
        ([(*row[:2], "") for row in GOOD], "data.targets.topics: expected labels in 'topics', found none"),
    ],
)
def test_what_a_run_would_refuse_is_said_with_the_target(look, rows, problem):
    assert any(not good and text.startswith(f"{MODEL}: {problem}") for good, text in look(rows))


def test_a_row_without_text_needs_no_label(look):
    assert all(good for good, _ in look([*GOOD, ("", "", "")]))
