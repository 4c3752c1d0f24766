"""`invoke`: texts from the command line and from files, an endpoint over HTTP, a table."""

import json
from pathlib import Path
from typing import Any

import pytest

from configuration import UserError
from serverless_inference import cli, invoke
from serverless_inference.endpoint import Label, Said, Text

ROOT = Path(__file__).parents[1]


def run(repository: Path, *arguments: str) -> int:
    return cli.main(["--root", str(repository), "invoke", *arguments])


@pytest.fixture(autouse=True)
def own_account(repository: Path, service: Any) -> None:
    """The service's caller is of the account that the staging endpoint is in."""
    from serverless_inference.config import load

    service.account = load(repository).project.accounts.shared_services


def test_texts_come_back_in_a_table(repository: Path, service: Any, capsys: Any) -> None:
    service.model = lambda text: [("billing", 0.93), ("general", 0.03), ("gas", 0.02)]
    assert run(repository, "You charged us\ntwice", "x" * 90) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["text", "label", "score", "then"]
    assert lines[1].split("  ")[0] == "You charged us twice"
    assert lines[1].endswith("billing  0.93   general 0.03, gas 0.02")
    assert lines[2].startswith("x" * 47 + "…  billing")
    assert service.requests == [
        {"inputs": ["You charged us\ntwice", "x" * 90], "parameters": {"top_k": 3}}
    ], "one request for all"


def test_json_is_an_object_a_line_with_the_text_as_it_was_asked(
    repository: Path, service: Any, capsys: Any
) -> None:
    assert run(repository, "é", "--json", "--top", "1") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"text": "é", "answers": [{"label": "billing", "score": 0.9}]}


def test_an_environment_has_its_endpoint_and_its_account(repository: Path, service: Any, capsys: Any) -> None:
    service.account = "999999999999"
    assert run(repository, "hello", "--environment", "production") == 1
    message = capsys.readouterr().err
    assert (
        "expected account" in message and "(the production endpoint's), got account 999999999999" in message
    )
    assert not service.requests, "nobody asks another account's endpoint"


def test_what_is_wrong_is_one_line(repository: Path, service: Any, refusal: Any, capsys: Any) -> None:
    missing = refusal(400, "ValidationError", "Endpoint x of account 1 not found.")
    service.refusals = [missing]
    assert run(repository, "hello") == 1
    message = capsys.readouterr().err
    assert "is not there: no version of the model is deployed yet" in message and message.count("\n") == 1


def test_nothing_to_ask_says_how_to_ask(repository: Path, capsys: Any) -> None:
    assert run(repository) == 1
    assert "expected texts, or --file FILE, got neither" in capsys.readouterr().err


def test_missing_credentials_say_how_to_get_some(
    repository: Path, service: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert run(repository, "hello") == 1
    assert "Unable to locate credentials; sign in again" in capsys.readouterr().err


@pytest.mark.parametrize("top", ["0", "-1", "many"])
def test_top_is_a_number_above_zero(repository: Path, top: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        run(repository, "hello", f"--top={top}")
    assert "expected a whole number above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one\n\n  two \r\nthr\u2028ee\n", ["one", "two", "thr\u2028ee"]),
        (
            "a.jsonl",
            '"one"\n{"subject": "s", "body": null}\n{"inputs": "three"}\n',
            ["one", {"subject": "s", "body": None}, "three"],
        ),
        ("a.csv", '\ufeffsubject,body\ns,"two\nlines"\n', [{"subject": "s", "body": "two\nlines"}]),
        ("a.csv", "id,text\n1,one\n2,two\n", ["one", "two"]),
        (
            "a.eml",
            "Subject: s\nContent-Type: text/html\n\n<style>x</style><p>a &amp; b</p><p>c</p>",
            [{"subject": "s", "body": "a & b\nc"}],
        ),
    ],
)
def test_a_file_is_read_by_its_kind(tmp_path: Path, name: str, content: str, expected: list[Text]) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert invoke.read_file(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.docx", b"x", "expected a name ending in .txt, .jsonl, .csv, .eml, or a folder"),
        ("a.txt", b"\n", "expected at least one text, found none"),
        ("a.txt", b"\xff\xfe", "expected UTF-8 text, got other bytes at byte 0"),
        ("a.jsonl", b'"one"\n{"subject"', "line 2: expected JSON, got"),
        ("a.jsonl", b"[1]", "line 1: expected a text or an object, got [1]"),
        ("a.csv", b"subject,body\nonly\n", "row 1: expected 2 fields as in the header"),
        ("a.eml", b"", "expected an email with a subject or a body, found neither"),
    ],
)
def test_a_file_that_cannot_be_asked_about_says_why(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        invoke.read_file(tmp_path / name)
    assert problem in str(caught.value) and str(tmp_path / name) in str(caught.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--file .*: expected a file or a folder of .eml files, found none"):
        invoke.read_file(tmp_path / "missing.txt")


def test_a_folder_of_emails_is_asked_about_as_a_whole(repository: Path, service: Any, capsys: Any) -> None:
    assert run(repository, "--file", str(ROOT / "examples/emails")) == 0
    asked = service.requests[0]["inputs"]
    assert len(asked) == len(list((ROOT / "examples/emails").glob("*.eml")))
    assert all(set(each) == {"subject", "body"} for each in asked)


def test_batches_keep_the_order_and_the_limits() -> None:
    many: list[Text] = [f"text {number}" for number in range(70)]
    found = list(invoke.batches(many))
    assert [text for batch in found for text in batch] == many
    assert [len(batch) for batch in found] == [32, 32, 6]


def test_a_batch_is_never_larger_than_a_request_may_be() -> None:
    # bytes, not characters: each of these letters is two
    large: list[Text] = ["é" * length for length in (400, 100, 390, 10, 600, 1)]
    limit = 1000
    found = list(invoke.batches(large, max_body=limit))
    assert [text for batch in found for text in batch] == large
    for batch in found:
        size = len(json.dumps({"inputs": batch, "parameters": {"top_k": 3}}, ensure_ascii=False).encode())
        assert size <= limit or len(batch) == 1
    assert [len(batch) for batch in found] == [1, 1, 2, 1, 1], (
        "as few as the limit allows; one too large goes alone"
    )


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    table = invoke.table(["\x1b[2Jgone\ttab\u202e"], [{"": Said((Label("billing", 0.5),))}])
    assert "\x1b" not in table and "\u202e" not in table and "[2Jgone tab" in table
    assert "then" not in table, "one label each leaves nothing to say after it"


def several(text: Any, top: int | None) -> Any:
    """A model with two targets and triage."""
    sentiment = [
        {"label": "negative", "score": 0.93, "needs_review": "sure" not in text},
        {"label": "x", "score": 0.1},
    ]
    topics = [{"label": "fees", "score": 0.8}, {"label": "staff", "score": 0.6}] if "dear" in text else []
    return {"sentiment": sentiment[:top], "topics": {"labels": topics, "needs_review": False}}


def test_each_target_has_a_column(repository: Path, service: Any, capsys: Any) -> None:
    service.model_answer = several
    assert run(repository, "dear", "sure") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["text", "sentiment", "topics", "review"]
    assert first == "dear  negative 0.93  fees 0.80, staff 0.60  sentiment"
    assert second == "sure  negative 0.93  no label"


def test_json_has_each_target(repository: Path, service: Any, capsys: Any) -> None:
    service.model_answer = several
    assert run(repository, "sure", "--json", "--top", "1") == 0
    assert json.loads(capsys.readouterr().out) == {
        "text": "sure",
        "targets": {
            "sentiment": {"answers": [{"label": "negative", "score": 0.93}], "needs_review": False},
            "topics": {"answers": [], "needs_review": False},
        },
    }


def test_what_a_person_should_look_at_is_told(repository: Path, service: Any, capsys: Any) -> None:
    service.model_answer = lambda text, top: [{"label": "gas", "score": 0.4, "needs_review": "odd" in text}]
    assert run(repository, "odd", "plain") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[-1] == "review" and first.endswith("yes") and second.endswith("0.40")
    assert run(repository, "odd", "--json") == 0
    assert json.loads(capsys.readouterr().out)["needs_review"] is True
