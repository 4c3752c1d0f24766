"""preprocess.py with several targets, and with any number of labels for a text."""

import csv
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import preprocess
from data.examples import LabelSet, read_all
from failure import StepError
from serving.targets import Target, as_columns, columns_of, from_columns

SETS = ("train", "validation", "test")
HEADER = ("text", "mood", "topics")
MOODS = ("bad", "good")
TOPICS = ("bills", "food", "staff")
BOTH = ["mood=mood", "topics=topics"]


class Result(NamedTuple):
    folder: Path
    report: dict[str, Any]

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a set, with names in place of ids."""
        label_set = LabelSet.read(self.folder / name)
        examples = read_all(self.folder / name, label_set.targets)
        found = []
        for index, text in enumerate(examples.texts):
            row: dict[str, Any] = {"text": text, "row": int(examples.rows[index])}
            for target, truth in zip(label_set.targets, examples.truth, strict=True):
                if target.kind == "one":
                    row[target.name] = target.labels[truth[index]]
                else:
                    row[target.name] = {target.labels[each] for each in np.flatnonzero(truth[index])}
            found.append(row)
        return found


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the step on rows, or on a file."""

    def run(rows: Iterable[Iterable[str]] | Path, *more: str, target: Iterable[str] = BOTH) -> Result:
        source = rows if isinstance(rows, Path) else tmp_path / "data.csv"
        if not isinstance(rows, Path):
            with source.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([HEADER, *rows])
        arguments = ["--input", str(source), "--output", str(tmp_path / "out"), "--text-column", "text"]
        for each in target:
            arguments += ["--target", each]
        if "topics=topics" in target and "--separator" not in more:
            arguments += ["--separator", "topics=;"]
        preprocess.main([*arguments, *more])
        report = json.loads((tmp_path / "out/report/data_report.json").read_text(encoding="utf-8"))
        return Result(tmp_path / "out", report)

    return run


def some(count: int, seed: int = 1) -> list[tuple[str, str, str]]:
    """Different texts with a mood and none to all of the topics, all combinations in like number."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        topics = [topic for bit, topic in enumerate(TOPICS) if number >> bit & 1]
        chance.shuffle(topics)
        rows.append((f"text {seed} {number}", MOODS[number // 8 % 2], ";".join(topics)))
    return rows


def test_each_target_has_its_labels_in_every_set(run: Run) -> None:
    result = run(some(160))
    label_set = LabelSet.read(result.folder / "train")
    assert label_set.targets == (Target("mood", "one", MOODS), Target("topics", "several", TOPICS))
    rows = {row["text"]: row for name in SETS for row in result.rows(name)}
    assert len(rows) == 160
    for text, mood, topics in some(160):
        assert rows[text]["mood"] == mood
        assert rows[text]["topics"] == {topic for topic in topics.split(";") if topic}
    schema = pq.read_schema(result.folder / "test/data.parquet")
    assert schema.names == ["text", "mood.label", "topics.label", "row"]
    assert schema.field("topics.label").type == pa.list_(pa.int32())


def test_the_report_counts_each_targets_labels(run: Run) -> None:
    report = run(some(160)).report
    assert report["labels"]["mood"]["bad"] == {"train": 56, "validation": 12, "test": 12, "total": 80}
    assert report["labels"]["topics"]["food"]["total"] == 80
    assert report["without_label"]["topics"]["total"] == 20
    assert report["settings"]["columns"]["targets"]["topics"] == {
        "column": "topics",
        "kind": "several",
        "separator": ";",
    }


def test_one_target_with_several_labels_has_the_column_label(run: Run) -> None:
    result = run(some(80), target=["topics=topics"])
    assert pq.read_schema(result.folder / "train/data.parquet").names == ["text", "label", "row"]
    assert result.report["labels"]["food"]["total"] == 40
    assert result.report["without_label"]["topics"]["total"] == 10


def test_combinations_are_divided_in_the_proportion_of_the_fractions(run: Run) -> None:
    result = run(some(1600))
    for name, share in zip(SETS, (0.7, 0.15, 0.15), strict=True):
        found: dict[tuple[str, frozenset[str]], int] = {}
        for row in result.rows(name):
            key = row["mood"], frozenset(row["topics"])
            found[key] = found.get(key, 0) + 1
        assert len(found) == 16
        assert all(count == 100 * share for count in found.values())


def test_rare_combinations_leave_every_label_in_proportion(run: Run) -> None:
    chance = random.Random(5)
    names = [f"t{number:02}" for number in range(30)]
    rows = [
        (f"text {number}", chance.choice(MOODS), ";".join(chance.sample(names, chance.randint(0, 6))))
        for number in range(3000)
    ]
    result = run(rows)
    labels = result.report["labels"]
    for counts in [
        *labels["topics"].values(),
        *labels["mood"].values(),
        result.report["without_label"]["topics"],
    ]:
        for name, share in zip(SETS, (0.7, 0.15, 0.15), strict=True):
            assert counts[name] == pytest.approx(counts["total"] * share, abs=3)


def test_the_rarest_label_that_can_be_divided_is_in_every_set(run: Run) -> None:
    rows = [*some(80), *(("rare " + str(number), "good", f"rare;{TOPICS[number]}") for number in range(3))]
    counts = run(rows).report["labels"]["topics"]["rare"]
    assert counts == {"train": 1, "validation": 1, "test": 1, "total": 3}


def test_groups_stay_whole_and_every_label_is_in_every_set(run: Run, tmp_path: Path) -> None:
    chance = random.Random(3)
    path = tmp_path / "grouped.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*HEADER, "author"))
        for number, row in enumerate(some(640)):
            writer.writerow((*row, f"author {chance.randint(0, 90)}" if number % 4 else ""))
    result = run(path, "--group-column", "author")
    authors = {row[0]: row[3] for row in csv.reader(path.open(encoding="utf-8"))}
    where: dict[str, set[str]] = {}
    for name in SETS:
        for row in result.rows(name):
            where.setdefault(authors[row["text"]], set()).add(name)
    assert all(len(found) == 1 for author, found in where.items() if author)
    for counts in [*result.report["labels"]["topics"].values(), *result.report["labels"]["mood"].values()]:
        assert counts["train"] == pytest.approx(counts["total"] * 0.7, rel=0.03)
        assert counts["test"] == pytest.approx(counts["total"] * 0.15, rel=0.1)


def test_the_order_of_rows_and_labels_changes_nothing(run: Run) -> None:
    rows = [*some(160), ("twice", "good", "food; staff")]
    first = run(rows)
    one = [sorted(row["text"] for row in first.rows(name)) for name in SETS]
    random.Random(2).shuffle(rows)
    second = run([*rows, ("twice", "good", " staff;food;;food ")])
    assert [sorted(row["text"] for row in second.rows(name)) for name in SETS] == one
    assert second.report["input"]["dropped"]["duplicate"] == 1
    assert second.report["input"]["dropped"]["contradictory_label"] == 0


def test_a_row_lacks_a_label_only_where_there_has_to_be_one(run: Run) -> None:
    rows = [*some(160), ("no mood", " ", "food"), ("no topic", "good", "")]
    result = run(rows, "--max-bad-label-share", "0.01")
    texts = {row["text"] for name in SETS for row in result.rows(name)}
    assert "no topic" in texts
    assert "no mood" not in texts
    assert result.report["input"]["dropped"]["missing_label"] == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("no mood", "", "food")] * 3, r"data.csv row 17: no label in 'mood': \"no mood\""),
        (
            [("twice", "good", "food"), ("twice", "good", "food;staff")],
            "data.csv row 17 mood 'good', topics 'food', "
            "data.csv row 18 mood 'good', topics 'food', 'staff': \"twice\"",
        ),
        ([("rare", "good", "rare")], r"found fewer of topics 'rare' \(1\)"),
        ([("rare", "awful", "food")], r"found fewer of mood 'awful' \(1\)"),
    ],
)
def test_what_is_wrong_is_said_with_the_target(
    run: Run, rows: list[tuple[str, str, str]], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        run([*some(16), *rows])


def test_a_target_with_too_few_labels_is_refused(run: Run) -> None:
    rows = [(text, "good", topics) for text, _, topics in some(40)]
    with pytest.raises(
        StepError, match=r"data.targets.mood: expected at least two classes in 'mood', found 'good'"
    ):
        run(rows)
    rows = [(text, mood, "") for text, mood, _ in some(40)]
    with pytest.raises(StepError, match=r"data.targets.topics: expected labels in 'topics', found no label"):
        run(rows)


def test_an_impossible_division_is_refused(run: Run) -> None:
    pairs = ("1 2 3", "1 2 4", "1 3 4", "2 3 4")
    groups = {name: set(pair.split()) for name, pair in zip("abcd", pairs, strict=True)}
    rows = [
        (
            f"text {text}",
            MOODS[int(text) % 2],
            ";".join(name for name, texts in groups.items() if text in texts),
        )
        for text in "1234"
    ]
    rows += [(f"other {number}", MOODS[number % 2], "") for number in range(20)]
    with pytest.raises(StepError, match=r"no division that puts one of topics '\w' into \w+"):
        run(rows)


def test_a_test_set_of_ones_own_may_have_new_combinations_but_no_new_labels(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("text,mood,topics\nnew,good,food;bills;staff\nother,bad,\n", encoding="utf-8")
    rows = [row for row in some(160) if row[2].count(";") < 2]
    result = run(rows, "--test-input", str(own))
    assert {row["text"] for row in result.rows("test")} == {"new", "other"}
    own.write_text("text,mood,topics\nnew,good,food;parking\n", encoding="utf-8")
    with pytest.raises(StepError, match="expected labels of topics of the data, found also 'parking'"):
        run(rows, "--test-input", str(own))


def test_lists_in_json_lines_and_parquet_are_labels(run: Run, tmp_path: Path) -> None:
    rows = [
        {"text": text, "mood": mood, "topics": [topic for topic in topics.split(";") if topic] or None}
        for text, mood, topics in some(160)
    ]
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    expected = [run(some(160)).rows(name) for name in SETS]
    for path in (lines, table):
        result = run(path)
        assert [result.rows(name) for name in SETS] == expected


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        (["food", 1.5, None], r"a.jsonl: line 1: topics: expected an array of texts, found null in it"),
        (["a;b"], r"a.jsonl: line 1: topics: expected labels without the separator ';', found 'a;b'"),
        ({"a": "b"}, r"a.jsonl: line 1: topics: expected text or a number, found an object"),
    ],
)
def test_a_list_that_holds_no_labels_is_refused(run: Run, tmp_path: Path, topics: Any, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "a", "mood": "good", "topics": topics}), encoding="utf-8")
    with pytest.raises(StepError, match=message):
        run(path)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--label-column", "mood"], "expected label_column, or targets .*, got both"),
        (["--target", "mood=other"], "--target: expected each target once, got mood, topics, mood"),
        (["--target", "other"], "--target: expected NAME=VALUE, got 'other'"),
        (
            ["--target", "other=mood"],
            "data.targets.other: expected different columns, got text, mood, topics, mood",
        ),
        (["--separator", "other=;"], "--separator: expected the name of a --target, got other"),
    ],
)
def test_targets_that_cannot_be_meant_are_refused(run: Run, more: list[str], message: str) -> None:
    with pytest.raises(StepError, match=message):
        run(some(16), *more)


def test_the_truth_of_targets_becomes_the_heads_columns_and_back() -> None:
    targets = (Target("mood", "one", MOODS), Target("topics", "several", TOPICS))
    truth = [np.array([1, 0]), np.array([[True, False, True], [False, False, False]])]
    columns = as_columns(targets, truth)
    assert columns.tolist() == [[False, True, True, False, True], [True, False, False, False, False]]
    assert [(part.start, part.stop) for part in columns_of(targets)] == [(0, 2), (2, 5)]
    for one, other in zip(from_columns(targets, columns), truth, strict=True):
        assert one.tolist() == other.tolist()
