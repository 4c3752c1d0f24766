"""The example consumer: real emails from files, an endpoint over HTTP, a team for each."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
EMAILS = ROOT / "examples/emails"
AT = ("--endpoint", "email-router-staging", "--region", "ca-central-1")


def test_it_needs_boto3_and_the_standard_library_only(route_email: ModuleType) -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "try:\n"
        f"    import runpy; runpy.run_path({str(ROOT / 'examples/route_email.py')!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print({'serverless_inference', 'configuration', 'yaml', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.endswith("set()\n"), done.stdout + done.stderr


def test_each_sample_email_goes_to_a_team_or_to_a_person(
    route_email: ModuleType, service: Any, capsys: Any
) -> None:
    def model(text: Any) -> list[tuple[str, float]]:
        return [("billing", 0.95)] if "invoice" in text["subject"].lower() else [("general", 0.4)]

    service.model = model
    assert route_email.main([str(EMAILS), *AT, "--threshold", "0.6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["file", "team", "score", "subject"]
    assert len(lines) == 1 + len(list(EMAILS.glob("*.eml")))
    assert "01-invoice-twice.eml" in lines[1] and "billing  0.95" in lines[1]
    assert "review   0.40   question (general?)" in lines[-1]
    assert len(service.requests) == 1, "all of them in one request"
    assert "parameters" not in service.requests[0]


@pytest.mark.parametrize(
    ("name", "subject", "words", "absent"),
    [
        ("02-controller-replacement", "Permit for a new elevator controller", "Jürgen Weiss", "<p>"),
        (
            "03-carnival-html-only",
            "Rides for the spring fair",
            "bumper cars, and when can an",
            "window.opened",
        ),
        ("04-chaudiere", "Chaudière à vapeur : inspection annuelle", "l'exploiter en attendant ?", "=E9"),
        ("05-gas-furnace-reply", "Re: Re: furnace on the second floor", "> Which appliances", "gone"),
        ("06-panel-upgrade", "200 A service", "new meter base", "dryer,30"),
    ],
)
def test_an_email_is_read_as_a_person_sees_it(
    route_email: ModuleType, name: str, subject: str, words: str, absent: str
) -> None:
    email = route_email.read(EMAILS / f"{name}.eml")
    assert email.subject == subject
    assert words in email.body.replace("\xa0", " ") and absent not in email.body


def test_a_broken_file_is_reported_and_the_others_go_on(
    route_email: ModuleType, service: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "a.eml").write_bytes(b"\x00\xff\x89PNG no header at all")
    (tmp_path / "b.eml").write_bytes(b"Subject: Invoice\n\nTwice.")
    (tmp_path / "c.eml").write_bytes(b"From: x@example.com\n\n")
    (tmp_path / "d.eml").write_bytes(b"Subject: \nContent-Type: text/plain; charset=x-none\n\n\xe9t\xe9 gas")
    missing = tmp_path / "missing.eml"
    assert route_email.main([str(tmp_path), str(missing), *AT, "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["team"] for each in found] == [
        "review",
        "billing",
        "review",
        "billing",
        "review",
    ]
    assert [bool(each["error"]) for each in found] == [True, False, True, False, True]
    assert "found no header line" in found[0]["error"]
    assert len(service.requests[0]["inputs"]) == 2


def test_a_busy_endpoint_is_asked_again(
    route_email: ModuleType, service: Any, refusal: Any, clock: Any
) -> None:
    service.refusals = [
        refusal(429, "ThrottlingException", "Rate exceeded"),
        refusal(424, "ModelError", "x", OriginalStatusCode=503, OriginalMessage="starting"),
    ]
    assert route_email.main([str(EMAILS / "08-hello.eml"), *AT]) == 0
    assert len(service.requests) == 3 and len(clock.naps) == 2


def test_a_model_that_refuses_is_not_asked_again_and_its_words_are_shown(
    route_email: ModuleType, service: Any, refusal: Any, clock: Any, capsys: Any
) -> None:
    words = "record 1: expected text, or an object with title"
    wrapped = json.dumps({"code": 400, "type": "InternalServerException", "message": words})
    service.refusals = [refusal(424, "ModelError", "x", OriginalStatusCode=400, OriginalMessage=wrapped)]
    assert route_email.main([str(EMAILS / "08-hello.eml"), *AT]) == 2
    assert capsys.readouterr().out.rstrip().endswith(f"  {words}")
    assert len(service.requests) == 1 and not clock.naps


def test_it_gives_up_on_an_endpoint_that_stays_busy(
    route_email: ModuleType, service: Any, refusal: Any, clock: Any
) -> None:
    service.refusals = [refusal(429, "ThrottlingException", "Rate exceeded") for _ in range(100)]
    (decision,) = route_email.decide(
        route_email.boto3.client("sagemaker-runtime", region_name="x", config=route_email.CLIENT),
        "email-router-staging",
        [EMAILS / "08-hello.eml"],
        0.6,
    )
    assert decision.error == "Rate exceeded" and decision.team == "review"
    assert 40 < clock.now <= route_email.PATIENCE


def test_an_answer_in_another_form_is_not_taken_for_labels(
    route_email: ModuleType, service: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(service, "answer", lambda endpoint, request: [[0.1, 0.9]])
    assert route_email.main([str(EMAILS / "08-hello.eml"), *AT]) == 2
    assert "expected a label and a score for each email, got [0.1, 0.9]" in capsys.readouterr().out


def test_many_emails_are_asked_about_in_several_requests(
    route_email: ModuleType, service: Any, tmp_path: Path
) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.eml").write_bytes(f"Subject: {number}\n\n{'x' * 30_000}".encode())
    assert route_email.main([str(tmp_path), *AT]) == 0
    assert [len(request["inputs"]) for request in service.requests] == [16, 4]
    assert len(service.requests[0]["inputs"][0]["body"]) == 20_000


def test_the_endpoint_s_name_and_region_come_from_this_repository(route_email: ModuleType) -> None:
    from serverless_inference.config import load

    project = load(ROOT).project
    options = route_email.parser().parse_args(["x", "--environment", "production"])
    assert route_email.where(options) == (f"{project.slug}-production", project.region)


def test_a_subject_cannot_drive_the_terminal(route_email: ModuleType) -> None:
    decision = route_email.Decision(Path("a.eml"), "\x1b]0;owned\x07 hi\nthere", "gas", "gas", 0.9)
    table = route_email.as_table([decision])
    assert "\x1b" not in table and "\x07" not in table and table.count("\n") == 1


@pytest.mark.parametrize("threshold", ["2", "-0.1", "high", "nan"])
def test_a_threshold_is_a_share(route_email: ModuleType, threshold: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        route_email.main(["x", f"--threshold={threshold}"])
    assert "expected a number from 0 to 1" in capsys.readouterr().err


def test_a_folder_without_emails_says_so(
    route_email: ModuleType, service: Any, tmp_path: Path, capsys: Any
) -> None:
    assert route_email.main([str(tmp_path), *AT]) == 2
    assert f"expected .eml files in {tmp_path}, found none" in capsys.readouterr().err


def test_what_the_model_says_needs_review_goes_to_the_queue_for_people(
    route_email: ModuleType, service: Any, capsys: Any
) -> None:
    def answer(text: Any, top: int | None) -> Any:
        sure = "invoice" in text["subject"].lower()
        return {"label": "billing", "score": 0.55 if sure else 0.97, "needs_review": not sure}

    service.model_answer = answer
    invoice, hello = str(EMAILS / "01-invoice-twice.eml"), str(EMAILS / "08-hello.eml")
    assert route_email.main([invoice, hello, *AT]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert "billing  0.55" in first and "review   0.97" in second, "not the score decides, the model does"
    assert route_email.main([invoice, hello, *AT, "--threshold", "0.6"]) == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert "review   0.55" in first and "billing  0.97" in second, "unless a threshold is given"


def test_of_several_targets_one_is_chosen(route_email: ModuleType, service: Any, capsys: Any) -> None:
    topics = {"labels": [{"label": "fees", "score": 0.8}, {"label": "staff", "score": 0.7}]}
    service.model_answer = lambda text, top: {
        "team": {"label": "gas", "score": 0.9},
        "topics": topics,
        "none": {"labels": []},
    }
    email = str(EMAILS / "08-hello.eml")
    for target, shown in (
        ("team", "gas   0.90"),
        ("topics", "fees  0.80"),
        ("none", "review  0.00   question (no label?)"),
    ):
        assert route_email.main([email, *AT, "--target", target]) == 0
        assert shown in capsys.readouterr().out
    for more, words in (
        ((), "expected --target, one of team"),
        (("--target", "x"), "expected the target x of team"),
    ):
        assert route_email.main([email, *AT, *more]) == 2
        assert f"{words}, topics, none" in capsys.readouterr().out
