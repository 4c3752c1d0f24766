"""The example: a survey, and the page that is made of its answers."""

import csv
import gzip
import html.parser
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from batch_inference import submit
from batch_inference.config import Settings

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "examples/survey_summary.py"
HEAD = ["response_id", "date", "comment", "label", "score", "model_version", "error"]

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def survey_page() -> ModuleType:
    """What makes the page, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("survey_page", SCRIPT.with_name("survey_page.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes answers: rows of id, date, comment, label, score and error."""

    def run(name: str, *rows: tuple[str, str, str, str, str, str], head: list[str] = HEAD) -> Path:
        path = tmp_path / name
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "wt", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            writer.writerows([*row[:5], "3" if row[3] else "", row[5]] for row in rows)
        return path

    return run


def page(tmp_path: Path, *arguments: object) -> str:
    output = tmp_path / "page.html"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments), "--output", str(output)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = output.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|<script|@import|url\(", text), "it needs something from elsewhere"
    html.parser.HTMLParser().feed(text)
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)
    return text


def bars(text: str) -> list[str]:
    return re.findall(r"<title>(\d[^<]*)</title>", text)


@pytest.mark.parametrize("name", ["survey_month.csv", "canary.csv"])
def test_the_example_files_are_what_the_configuration_asks_for(settings: Settings, name: str) -> None:
    path = ROOT / "examples" / name
    assert submit.check_file(path, name, settings.transform).size == path.stat().st_size


def test_a_day_s_bar_has_the_counts_of_its_labels(tmp_path: Path, write: Write) -> None:
    answers = write(
        "july.csv",
        ("1", "2026-07-01", "good", "positive", "0.9", ""),
        ("2", "2026-07-01", "also good", "positive", "0.8", ""),
        ("3", "2026-07-03", "bad", "negative", "0.7", ""),
        ("4", "2026-07-03", "", "", "", "no text"),
    )
    text = page(tmp_path, answers)
    assert sorted(bars(text)) == ["1 July 2026: 2 positive", "3 July 2026: 1 negative"]
    assert "3 of 4 rows have an answer." in text
    assert (
        '<td>2 July 2026</td><td class="number"></td>' in text
    )  # a day without comments is a gap, not left out
    assert "<td>no text</td>" in text and "<td>4</td>" in text


def test_answers_of_several_targets_are_all_shown_and_one_by_the_other(tmp_path: Path) -> None:
    answers = tmp_path / "both.csv"
    answers.write_text(
        "response_id,date,comment,sentiment_label,sentiment_score,category_label,category_score,error\n"
        "1,2026-07-01,rude,negative,0.9,staff,0.8,\n"
        "2,2026-07-01,quick,positive,0.7,timeliness,0.6,\n"
    )
    text = page(tmp_path, answers)
    shown = {f"1 July 2026: 1 {label}" for label in ("negative", "positive", "staff", "timeliness")}
    assert set(bars(text)) == shown
    assert "sentiment_label" not in text and "0.90" in text
    alone = set(bars(page(tmp_path, answers, "--label", "category")))
    assert alone == {"1 July 2026: 1 staff", "1 July 2026: 1 timeliness"}


def test_more_than_seven_weeks_are_shown_by_weeks(tmp_path: Path, write: Write) -> None:
    answers = write(
        "year.csv.gz",
        ("1", "2026-01-01", "a", "x", "0.9", ""),
        ("2", "2026-01-04", "b", "x", "0.9", ""),
        ("3", "2026-03-31", "c", "y", "0.9", ""),
    )
    assert bars(page(tmp_path, answers)) == ["29 December 2025: 2 x", "30 March 2026: 1 y"]


def test_two_models_answers_to_the_same_comments_are_joined_by_their_ids(
    tmp_path: Path, write: Write
) -> None:
    one = write(
        "sentiment.csv",
        ("1", "2026-07-01", "good price", "positive", "0.9", ""),
        ("2", "2026-07-01", "rude", "negative", "0.9", ""),
        ("3", "2026-07-01", "dear", "negative", "0.9", ""),
        ("4", "2026-07-01", "only here", "negative", "0.9", ""),
        ("", "", "", "", "", "expected 4 fields, found 5"),
    )
    two = write(
        "category.csv",
        ("3", "2026-07-01", "dear", "fees", "0.9", ""),
        ("1", "2026-07-01", "good price", "fees", "0.9", ""),
        ("2", "2026-07-01", "rude", "staff", "0.9", ""),
        ("", "", "", "", "", "expected 4 fields, found 5"),
    )
    text = page(tmp_path, one, two)
    crossed = text[text.index("Sentiment by category") :]
    assert re.search(
        r"<td>fees</td>.*?\"number\">1</td><td class=\"number\">1</td><td class=\"number\">2<", crossed
    )
    assert re.search(
        r"<td>staff</td>.*?\"number\"></td><td class=\"number\">1</td><td class=\"number\">1<", crossed
    )
    missing = text[text.index("Category: rows without an answer") :]
    assert re.search(r"<td>not in the file</td><td class=\"number\">1</td><td>4</td>", missing)
    assert re.search(r"<td>expected 4 fields, found 5</td><td class=\"number\">1</td><td>row 5</td>", missing)


def test_one_file_may_have_both_models_columns(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text(
        "date,comment,sentiment,sentiment_score,sentiment_error,category,category_score,category_error\n"
        "2026-07-01,dear,negative,0.91,,fees,0.52,\n"
        ',,,,"expected 4 fields, found 5",,,no text\n',
        encoding="utf-8",
    )
    text = page(tmp_path, path, "--label", "sentiment", "--label", "category")
    assert "Sentiment by category" in text and "0.91" in text and "0.52" in text
    assert "expected 4 fields, found 5" in text and "no text" in text and "row 2" in text


def test_what_people_write_is_text_and_not_part_of_the_page(tmp_path: Path, write: Write) -> None:
    evil = "<script>alert(1)</script>"
    answers = write("a.csv", (evil, "2026-07-01", evil, f"x{evil}", "0.9", ""), (evil, "", "", "", "", evil))
    text = page(tmp_path, answers, "--title", evil)
    assert text.count("&lt;script&gt;") >= 5


def test_the_most_certain_comments_come_first_and_once(tmp_path: Path, write: Write) -> None:
    rows = [(str(n), "2026-07-01", f"comment {n % 6}", "x", f"0.{n:02d}", "") for n in range(10, 30)]
    quotes = re.findall(r"<blockquote>(.*?) <small>(.*?)<", page(tmp_path, write("a.csv", *rows)))
    assert quotes == [("comment 5", "0.29"), ("comment 4", "0.28"), ("comment 3", "0.27")]


def test_many_labels_share_one_colour_at_the_end(survey_page: ModuleType) -> None:
    answers = [survey_page.Said([f"l{n}"], [1.0], "", False) for n in range(12) for _ in range(20 - n)]
    labels = survey_page.shown_labels(survey_page.Target("x", False, False, answers))
    assert labels == [*(f"l{n}" for n in range(7)), "others"]
    assert len({survey_page.colours(labels)[label] for label in labels}) == 8


@pytest.mark.parametrize("rows", [[], [("1", "someday", "a", "", "", "no text")]])
def test_a_page_is_made_of_answers_that_say_nothing(
    tmp_path: Path, write: Write, rows: list[tuple[str, str, str, str, str, str]]
) -> None:
    if rows:
        assert "No row has both a date and an answer." in page(tmp_path, write("a.csv", *rows))
    else:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(write("a.csv"))], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 1 and "found no rows" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv"),
        (["a.csv", "--label", "other"], "expected a column other (--label), found response_id, date"),
        (["a.csv", "a.csv"], "a is in another file, too"),
        (["a.csv", "b.csv", "--id-column", "key"], "expected the column key in both files"),
        (
            ["plain.csv"],
            "expected a column label, or one that ends in _label or _labels, (--label), found id, x_label",
        ),
        (["binary.csv"], "expected answers as CSV, got something else"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, write: Write, arguments: list[str], message: str
) -> None:
    for name in ("a.csv", "b.csv"):
        write(name, ("1", "2026-07-01", "a", "x", "0.9", ""))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "plain.csv").write_text("id,x_label\n1,a\n")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1


TWO_TARGETS = """\
response_id,date,comment,sentiment_label,sentiment_score,sentiment_needs_review,\
topics_labels,topics_scores,topics_needs_review,model_version,error
1,2026-07-01,too dear and rude,negative,0.91,false,fees;staff,0.8;0.7,false,3,
2,2026-07-01,kind,positive,0.55,true,staff,0.9,false,3,
3,2026-07-02,ok,neutral,0.81,false,,,true,3,
4,2026-07-02,odd,negative,0.71,false,a\\;b;fees,0.6;0.5,false,3,
5,2026-07-02,,,,,,,,,no text
"""


def test_one_file_shows_all_targets_and_what_a_person_should_read(tmp_path: Path) -> None:
    path = tmp_path / "july.csv"
    path.write_text(TWO_TARGETS, encoding="utf-8")
    text = page(tmp_path, path)
    assert "Sentiment by topics" in text
    crossed = text[text.index("Sentiment by topics") : text.index("Sentiment: what the model was most")]
    assert re.findall(r"<tr><td>([^<]*)</td>.*?number\">(\d)</td></tr>", crossed) == [
        ("fees", "2"),
        ("staff", "2"),
        ("a;b", "1"),
        ("(no label)", "1"),
    ]
    totals = text[text.index("Topics: in all") :]
    assert (
        "4 of 5 rows have an answer. A row may have several labels. A person should read 1 of them." in totals
    )
    assert re.search(r"</i>fees</td><td class=\"number\">2</td><td class=\"number\">50 %", totals)
    assert re.search(r"</i>\(no label\)</td><td class=\"number\">1</td>", totals)
    assert sorted(bars(text)) == sorted(
        [
            "1 July 2026: 1 negative",
            "1 July 2026: 1 positive",
            "2 July 2026: 1 neutral",
            "2 July 2026: 1 negative",
        ]
        + ["1 July 2026: 1 fees", "1 July 2026: 2 staff", "2 July 2026: 1 fees", "2 July 2026: 1 a;b"]
        + ["2 July 2026: 1 (no label)"]
    )
    review = text[text.index("Sentiment: what a person should read") :]
    assert "kind <small>positive? 2</small>" in review and "ok <small>no label? 3</small>" in review
    assert "Sentiment, topics: rows without an answer" in text


def test_a_column_may_be_chosen_among_those_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "july.csv"
    path.write_text(TWO_TARGETS, encoding="utf-8")
    for name in ("topics", "topics_labels"):
        text = page(tmp_path, path, "--label", name)
        assert "Topics: in all" in text and "Sentiment" not in text
