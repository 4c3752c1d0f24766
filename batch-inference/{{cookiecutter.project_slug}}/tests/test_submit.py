"""What `submit` finds out before it uploads, how it waits, and the table that it shows."""

import codecs
import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batch_inference import executions as follows
from batch_inference import submit
from batch_inference import summary as summaries
from batch_inference.config import Settings, TransformConfig
from batch_inference.executions import Execution, Step
from batch_inference.objects import Uploaded, local_path
from configuration import UserError

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
UPLOAD = Uploaded("input/a.csv", "v1", NOON)


@pytest.fixture
def config(settings: Settings) -> TransformConfig:
    """Files whose answers keep all columns."""
    return changed(settings.transform, carry_columns="all")


def changed(config: TransformConfig, **values: object) -> TransformConfig:
    """With other values in `input`."""
    return config.model_copy(update={"input": config.input.model_copy(update=values)})


@pytest.fixture
def check(config: TransformConfig, tmp_path: Path) -> Callable[..., submit.LocalFile]:
    """Checks a file with this content, under this name."""

    def run(content: bytes, name: str = "a.csv", called: str | None = None) -> submit.LocalFile:
        path = tmp_path / "files" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return submit.check_file(path, called or name, config)

    return run


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"comment\nfine\n", "a.csv"),
        (b"comment\n", "a.csv"),
        (codecs.BOM_UTF8 + b'id,"comment"\r\n1,"two\r\nlines"\r\n', "a.CSV"),
        (gzip.compress(b"comment\nfine\n"), "a.csv.gz"),
        (b'{"comment": "fine"}\n{"comment": null}\n', "a.jsonl"),
        (gzip.compress(b'not JSON\n{"comment": "fine"}\n'), "a.ndjson.gz"),
        (b"id,comment\n1,too,many\n2,fine\n", "a.csv"),  # some bad rows are the pipeline's to count
    ],
)
def test_files_that_the_pipeline_takes_pass(check: Callable[..., object], content: bytes, name: str) -> None:
    assert check(content, name)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "a.csv", "expected rows, got 0 bytes"),
        (b"x", "a.xlsx", "expected a name that ends in one of .csv, .jsonl, .ndjson, .csv.gz"),
        (
            b"remark\nfine\n",
            "a.csv",
            'expected the column "comment" (input.text_columns), the header has "remark"',
        ),
        (b"id;comment\n1;fine\n", "a.csv", "is the delimiter a semicolon?"),
        (
            b"comment,label\nfine,x\n",
            "a.csv",
            'the column "label" is also the name of a column that is added',
        ),
        ("comment\n".encode("utf-16"), "a.csv", "it is UTF-16: save it as UTF-8"),
        (b"comment\n", "a.csv.gz", "gzip"),
        (gzip.compress(b"comment\nfine\n")[:-9], "a.csv.gz", "expected a whole gzip file"),
        (b'{"text": "fine"}\n', "a.jsonl", 'expected the key "comment"'),
        (b"[1]\n[2]\n", "a.jsonl", "all of the first 2 rows cannot be read"),
    ],
)
def test_files_that_the_pipeline_would_refuse_are_refused_here(
    check: Callable[..., object], content: bytes, name: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        check(content, name)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_only_the_head_of_a_file_is_read(check: Callable[..., object]) -> None:
    """A file of 40 MB of which row 200 is not UTF-8."""
    rows = [b"fine\n"] * 199 + [b"\xff\n"] + [b"f" * 199_999 + b"\n"] * 200
    began = datetime.now(UTC)
    assert check(b"comment\n" + b"".join(rows))
    assert datetime.now(UTC) - began < timedelta(seconds=5)


@pytest.mark.parametrize("called", ["/a.csv", "x/../a.csv", "x//a.csv", "a\n.csv", "folder/"])
def test_a_name_that_is_no_name_is_refused(check: Callable[..., object], called: str) -> None:
    with pytest.raises(UserError, match="--as: expected a name such as 2026/july.csv"):
        check(b"comment\n", "a.csv", called)


def test_a_name_says_what_the_file_is_as_its_own_does(check: Callable[..., submit.LocalFile]) -> None:
    assert check(b"comment\n", "a.csv", "2026/b.csv").name == "2026/b.csv"
    with pytest.raises(UserError, match=r"expected a name that ends in \.csv, as the file's own does"):
        check(b"comment\n", "a.csv", "b.jsonl")
    with pytest.raises(UserError, match="expected a shorter name"):
        check(b"comment\n", "a.csv", "b" * 1000 + ".csv")


def test_the_declared_columns_delimiter_and_encoding_count(config: TransformConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id;comment;café\n1;fine;x\n".encode("windows-1252"))
    declared = changed(config, delimiter=";", encoding="windows-1252", carry_columns=["id", "café"])
    assert submit.check_file(path, "a.csv", declared)
    with pytest.raises(UserError, match=r'expected the column "date" \(input.carry_columns\)'):
        submit.check_file(path, "a.csv", changed(declared, carry_columns=["date"]))


def test_what_is_no_file_is_said(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a file, got a folder"):
        submit.check_file(tmp_path, "a.csv", settings.transform)
    with pytest.raises(UserError, match="found nothing there"):
        submit.check_file(tmp_path / "a.csv", "a.csv", settings.transform)


class Told:
    """Executions as a person would see them in a console, one state for each look.

    The states are those of ListPipelineExecutionSteps; the calls themselves are tested against the sandbox.
    """

    def __init__(self, *states: tuple[str, list[Step]]) -> None:
        self.states = list(states)
        self.execution = Execution("arn:x/e1", "Executing", NOON, "")

    def started_by(self, uploads: object) -> dict[Uploaded, Execution]:
        return dict.fromkeys(uploads, self.execution) if self.states else {}  # type: ignore[call-overload]

    def now(self, execution: Execution) -> tuple[Execution, list[Step]]:
        status, steps = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return execution._replace(status=status), steps


def followed(told: Told) -> tuple[list[str], list[follows.Outcome], float]:
    """The lines, the outcomes, and the seconds that would have passed."""
    lines: list[str] = []
    seconds = 0.0

    def wait(more: float) -> None:
        nonlocal seconds
        seconds += more

    outcomes = follows.follow(told, [(UPLOAD, "")], "look there", lines.append, wait, lambda: seconds)  # type: ignore[arg-type]
    return lines, outcomes, seconds


def step(status: str, reason: str = "", seconds: float = 65) -> Step:
    over = status in ("Succeeded", "Failed")
    return Step(
        "Normalise",
        "Read the file",
        status,
        NOON,
        NOON + timedelta(seconds=seconds) if over else None,
        reason,
    )


def test_where_to_look_is_said_when_nothing_starts_for_three_minutes() -> None:
    lines, outcomes, seconds = followed(Told())
    assert outcomes == [follows.Outcome(UPLOAD, None, "look there")]
    assert lines == [] and 180 < seconds < 190


def test_each_change_is_a_line_and_a_long_step_is_said_to_run_still() -> None:
    running = ("Executing", [step("Executing")])
    states = [
        ("Executing", []),
        ("Executing", [step("Starting")]),
        *[running] * 20,
        ("Succeeded", [step("Succeeded")]),
    ]
    lines, outcomes, _ = followed(Told(*states))
    assert [outcome.problem for outcome in outcomes] == [""]
    assert lines[0] == "    0:00  execution e1 has started"
    assert lines[1].endswith("Read the file …")
    assert lines[-1].endswith("Read the file: done in 1 min 05 s")
    still = [line for line in lines[2:-1] if "so far" in line]
    assert len(still) == len(lines) - 3 and 1 <= len(still) <= 4


def test_a_failure_names_the_step_and_its_reason() -> None:
    _, outcomes, _ = followed(Told(("Failed", [step("Failed", "3 of 4 rows are bad")])))
    assert outcomes[0].problem == "step Normalise failed: 3 of 4 rows are bad"
    _, outcomes, _ = followed(Told(("Stopped", [])))
    assert outcomes[0].problem.startswith("execution e1 stopped")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7440, "2 h 04 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, words: str) -> None:
    assert follows.duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"), [(23, "23 bytes"), (1500, "1.5 kB"), (20_000, "20 kB"), (3.2e9, "3.2 GB")]
)
def test_sizes_are_said_as_people_say_them(count: float, words: str) -> None:
    assert submit.size(count) == words


DOCUMENT = {
    "version": 1,
    "rows": 200,
    "answered": 190,
    "empty": 6,
    "bad": 4,
    "labels": {"positive": 150, "negative": 40},
    "mean_scores": {"positive": 0.934, "negative": 0.71},
    "errors": {"no text": 6, "expected 4 fields, found 5": 4},
    "model_package_version": 3,
    "source": {"bucket": "b", "key": "input/a.csv", "version_id": "v"},
    "result_key": "output/a.csv",
}


def test_the_table_has_counts_shares_bars_and_scores() -> None:
    lines = summaries.table(summaries.Summary.of(DOCUMENT, "here")).replace("#", "█").split("\n")
    assert lines[0].split() == ["rows", "200"]
    assert lines[1].split() == ["answered", "190", "95.0", "%"]
    assert lines[3].split() == ["bad", "4", "2.0", "%"]
    assert lines[4].strip() == "4 x expected 4 fields, found 5"
    assert lines[8].split() == ["positive", "150", "78.9", "%", "█" * 24, "0.93"]
    assert lines[9].split() == ["negative", "40", "21.1", "%", "█" * 6, "0.71"]


SEVERAL = {
    **{name: value for name, value in DOCUMENT.items() if name not in ("labels", "mean_scores")},
    "targets": {
        "sentiment": {"labels": {"negative": 190}, "mean_scores": {"negative": 0.8}, "needs_review": 19},
        "topics": {
            "labels": {"fees": 95, "staff": 19},
            "mean_scores": {"fees": 0.7, "staff": 0.6},
            "several": True,
            "without_label": 100,
        },
    },
}


def test_the_table_has_each_target_and_how_much_a_person_should_look_at() -> None:
    summary = summaries.Summary.of(SEVERAL, "here")
    text = summaries.table(summary)
    lines = [line.strip() for line in text.split("\n")]
    assert lines[lines.index("sentiment") + 2].split()[:4] == ["negative", "190", "100.0", "%"]
    assert "a person should look at 19 rows (10.0 %)" in lines
    topics = lines[lines.index("topics") :]
    assert topics[2].split()[:4] == ["fees", "95", "50.0", "%"]
    assert topics[-1] == "100 rows have no label, others may have several"
    assert summary.needs_review == {"sentiment": 19}


def test_a_table_of_no_rows_is_a_table() -> None:
    empty = {**DOCUMENT, "rows": 0, "answered": 0, "empty": 0, "bad": 0, "labels": {}, "errors": {}}
    assert "label" not in summaries.table(summaries.Summary.of(empty, "here"))


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    evil = {**DOCUMENT, "labels": {"a\x1b[2Jb": 190}}
    assert "\x1b" not in summaries.table(summaries.Summary.of(evil, "here"))


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"rows": None, "labels": None},
        {"source": {}},
        {"targets": [1]},
        {"targets": {"a": None}},
    ],
)
def test_another_document_is_no_summary(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"here: expected the summary of a file \(version 1\), got:"):
        summaries.Summary.of({**DOCUMENT, **change}, "here")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("output/a.csv", "results/a.csv"),
        ("output/2026/july/a.csv", "results/2026/july/a.csv"),
        ("output/../../etc/a.csv", "results/etc/a.csv"),
        ("output//etc/a.csv", "results/etc/a.csv"),
    ],
)
def test_answers_keep_their_path_and_never_leave_the_folder(key: str, expected: str) -> None:
    assert local_path(Path("results"), "output/", key) == Path(expected)
