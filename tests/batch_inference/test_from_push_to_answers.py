"""From a push to answers in both accounts: staging, a person, production; then all kinds of files.

All real but AWS: Terraform applies the foundation, both repositories' delivery and both environments; the
builds are the repositories' buildspecs; the model was trained by the model-build pipeline; events start
pipelines, whose jobs run the repository's steps and the model's own inference.py; every role may do only
what its policies say. The tests are one story: each goes on where the one before it ended.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_workbench.sandbox.services import events
from tests.batch_inference.organisation import PLACES, SLUG, Organisation, opened
from tests.foundation.terraform_roots import PRODUCTION, REGION, SHARED
from tests.organisation import GROUP
from tests.serverless_inference.variants import broken_model

pytestmark = pytest.mark.slow

COMMENTS = (
    "hello we have a question about the invoice",
    'please the lift today, "twice"\nand tomorrow',
    "our furnace and thank you",
    "été invoice 🙂 l'ascenseur",
)
RECORDS = f"mlops-{SLUG}-{SHARED}-{REGION}"


@pytest.fixture(scope="module")
def organisation(
    generate: Callable[..., Path],
    container_python: Path,
    git: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Organisation]:
    """Prints at the end what took how long."""
    with opened(generate, container_python, git, tmp_path_factory) as made:
        yield made
        print("\n".join(f"{what}: {seconds:.1f} s" for what, seconds in made.seconds.items()))


def table(rows: Sequence[Sequence[object]], header: Sequence[str] = ("id", "body")) -> bytes:
    """A CSV as Excel saves it."""
    content = io.StringIO(newline="")
    csv.writer(content).writerows([header, *rows])
    return content.getvalue().encode()


def comments(texts: Sequence[str] = COMMENTS) -> bytes:
    return table(list(enumerate(texts, 1)))


def mails_about(word: str) -> list[str]:
    return [mail.body for mail in events.mails() if word in mail.body]


def test_a_push_without_an_approved_model_deploys_staging_and_asks_nobody(organisation: Organisation) -> None:
    began = time.monotonic()
    organisation.register(organisation.server)
    organisation.seconds["batch-inference registered"] = time.monotonic() - began
    with organisation.watching("push -> staging, without a model") as started:
        organisation.push("Once more")
    assert {each["status"] for each in started} == {"Succeeded"}, organisation.log("staging")
    assert organisation.stages(started[0]) == {
        "Source/Source": "Succeeded",
        "Staging/DeployAndTest": "Succeeded",
    }
    assert f"No version of {GROUP} is approved yet: the canary file is not sent" in organisation.log(
        "staging"
    )
    done = organisation.drop("staging", "early.csv", comments())
    assert done.status == "Failed" and "no version is approved" in done.reason
    assert any("early.csv" in mail or done.execution in mail for mail in mails_about(f"{SLUG}-staging"))


def test_with_an_approved_model_staging_answers_the_canary_and_a_person_is_asked(
    organisation: Organisation,
) -> None:
    organisation.decide(organisation.wait_for_version(1), "Approved")
    with organisation.watching("push -> canary answered in staging") as started:
        organisation.push("A push")
    assert [each["status"] for each in started] == ["InProgress"], organisation.log("staging")
    (approval,) = [json.loads(body)["approval"] for body in mails_about('"approval"')]
    assert "model version 1 answered 3 rows" in approval["customData"]
    assert "3 of 3 with the right label" in approval["customData"]
    settings = "2 x ml.m5.xlarge, each with 4 request(s) of up to 6 MB at a time; one request for each part"
    assert settings in approval["customData"]
    key = approval["externalEntityLink"].partition("prefix=")[2]
    report = organisation.client("s3").get_object(Bucket=RECORDS, Key=key)["Body"].read().decode()
    assert "our furnace and thank you" in report and "transform.max_payload_mb" in report


def test_promote_deploys_to_production_from_the_artifact_of_staging(organisation: Organisation) -> None:
    with organisation.watching_the_same("promoted -> in production"):
        done = organisation.run("batch_inference", "promote", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
    (newest, *_) = organisation.executions()
    assert newest["status"] == "Succeeded", organisation.log("production")
    log = organisation.log("production")
    assert "declared substitutions; nothing of staging is left" in log
    definitions = {}
    for environment, account in PLACES.items():
        sagemaker = organisation.client("sagemaker", account)
        found = sagemaker.describe_pipeline(PipelineName=f"{SLUG}-{environment}")
        definitions[environment] = found["PipelineDefinition"]
    assert SHARED not in definitions["production"] and "-staging" not in definitions["production"]
    assert json.loads(definitions["production"]).keys() == json.loads(definitions["staging"]).keys()
    assert organisation.record("production") is not None


@pytest.mark.parametrize("environment", PLACES)
def test_a_file_is_answered_as_the_endpoint_answers_its_texts(
    organisation: Organisation, environment: str
) -> None:
    done = organisation.drop(environment, "june.csv", comments())
    assert done.status == "Succeeded", done.reason
    assert [row["body"] for row in done.rows] == list(COMMENTS)
    assert [row["id"] for row in done.rows] == ["1", "2", "3", "4"]
    if "endpoint" not in ANSWERS:
        ANSWERS["endpoint"] = organisation.ask_endpoint(COMMENTS, organisation.wait_for_version(1))
    for row, answer in zip(done.rows, ANSWERS["endpoint"], strict=True):
        assert row["label"] == answer["label"]
        assert float(row["score"]) == pytest.approx(answer["score"], abs=1e-5)
        assert (row["model_version"], row["error"]) == ("1", "")
    assert done.summary is not None and done.summary["answered"] == 4
    assert sum(done.summary["labels"].values()) == 4


ANSWERS: dict[str, list[dict[str, Any]]] = {}


def test_submit_follows_a_file_and_brings_its_answers(organisation: Organisation, tmp_path: Path) -> None:
    (tmp_path / "july survey.csv").write_bytes(comments())
    done = organisation.run(
        "batch_inference", "submit", str(tmp_path / "july survey.csv"), "--output", str(tmp_path / "results")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ask the model" in done.stdout and "answered" in done.stdout
    found = [path for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert any(path.name == "july survey.csv" for path in found)
    listed = organisation.run("batch_inference", "results")
    assert listed.returncode == 0 and "july survey.csv" in listed.stdout, listed.stdout + listed.stderr
    assert "early.csv" in listed.stdout  # what failed is not hidden


def test_a_newly_approved_model_answers_the_next_file_and_nothing_is_deployed_for_it(
    organisation: Organisation,
) -> None:
    second = organisation.register_variant(organisation.wait_for_version(1))
    before = len(organisation.executions())
    organisation.decide(second, "Approved")
    done = organisation.drop("production", "next.csv", comments())
    assert [row["model_version"] for row in done.rows] == ["2"] * 4, done.reason
    organisation.decide(second, "Rejected")
    done = organisation.drop("production", "after.csv", comments())
    assert [row["model_version"] for row in done.rows] == ["1"] * 4, done.reason
    assert len(organisation.executions()) == before


def test_two_files_at_once_each_get_their_own_answers(organisation: Organisation) -> None:
    ours, theirs = comments(COMMENTS[:2]), comments(COMMENTS[2:])
    puts = [
        (name, organisation.put("staging", name, content))
        for name, content in (("a.csv", ours), ("b.csv", theirs))
    ]
    first, second = organisation.ended("staging", puts)
    assert (first.status, second.status) == ("Succeeded", "Succeeded"), first.reason + second.reason
    assert [row["body"] for row in first.rows] == list(COMMENTS[:2])
    assert [row["body"] for row in second.rows] == list(COMMENTS[2:])
    assert first.execution != second.execution


def test_many_small_files_at_once_are_each_answered_once(organisation: Organisation) -> None:
    # a thousand are in tests/sandbox/services/events/test_many.py: here each runs the whole pipeline
    texts = {f"small/{number:02}.csv": f"{COMMENTS[number % 3]} number {number}" for number in range(8)}
    puts = [(name, organisation.put("staging", name, comments([text]))) for name, text in texts.items()]
    before = len(organisation.runs("staging"))
    for (name, _), done in zip(puts, organisation.ended("staging", puts), strict=True):
        assert done.status == "Succeeded", done.reason
        assert [row["body"] for row in done.rows] == [texts[name]]
    assert len(organisation.runs("staging")) <= before + len(puts)


def test_the_same_key_twice_ends_with_the_answers_to_the_newer_upload(organisation: Organisation) -> None:
    older = organisation.put("staging", "again.csv", comments(["invoice please"]))
    newer = organisation.put("staging", "again.csv", comments(["the lift", "our furnace"]))
    done = organisation.ended("staging", [("again.csv", older), ("again.csv", newer)])
    assert [each.status for each in done] == ["Succeeded", "Succeeded"], done[0].reason + done[1].reason
    assert [row["body"] for row in organisation.result("staging", "again.csv")] == ["the lift", "our furnace"]
    sources = []
    for each in done:
        s3 = organisation.client("s3")
        key = f"work/{each.execution}/source/data.csv"
        sources.append(s3.get_object(Bucket=organisation.bucket("staging"), Key=key)["Body"].read())
    assert sources == [comments(["invoice please"]), comments(["the lift", "our furnace"])]


def test_spaces_and_unicode_in_a_key_are_answered_under_the_same_name(organisation: Organisation) -> None:
    name = "2026/Zufriedenheit & Lob/juin, été 🙂 +%20.csv"
    done = organisation.drop("staging", name, comments())
    assert done.status == "Succeeded", done.reason
    assert name in organisation.outputs("staging") and len(done.rows) == 4


def test_a_file_with_a_header_alone_is_answered_without_the_model(organisation: Organisation) -> None:
    done = organisation.drop("staging", "none.csv", table([]))
    assert done.status == "Succeeded", done.reason
    body = (
        organisation.client("s3")
        .get_object(Bucket=organisation.bucket("staging"), Key="output/none.csv")["Body"]
        .read()
    )
    assert body.decode().strip() == "id,body,label,score,model_version,error"
    assert done.summary is not None and done.summary["rows"] == 0


def test_an_empty_file_starts_nothing_and_people_are_told(organisation: Organisation) -> None:
    before = len(organisation.runs("staging"))
    organisation.put("staging", "empty.csv", b"")
    organisation.put("staging", "folder/", b"")  # as the console makes a folder: nobody is told
    for _ in organisation.patiently("the notice about the empty file"):
        if mails_about("empty.csv"):
            break
    assert len(organisation.runs("staging")) == before
    assert not mails_about("folder/")


def test_bad_rows_get_an_error_and_a_5_mb_text_is_one_of_them(organisation: Organisation) -> None:
    rows = [(1, COMMENTS[0]), (2, "x" * (5 << 20)), (3, "too", "many"), (4, ""), (5, COMMENTS[2])]
    done = organisation.drop("staging", "bad.csv", table(rows))
    assert done.status == "Succeeded", done.reason
    errors = [row["error"] for row in done.rows]
    assert errors[0] == "" and errors[4] == "" and all(errors[1:4]), errors
    assert [bool(row["label"]) for row in done.rows] == [True, False, False, False, True]
    assert done.rows[1]["body"] == "x" * (5 << 20)  # nothing of the file is lost
    assert done.summary is not None
    assert [done.summary[each] for each in ("rows", "answered", "empty", "bad")] == [5, 2, 1, 2]


def test_a_5_mb_text_is_answered_where_a_request_may_hold_it(organisation: Organisation) -> None:
    # production: max_payload_mb 6
    done = organisation.drop("production", "long.csv", comments(["invoice " * 655_360]))
    assert done.status == "Succeeded", done.reason
    assert [(row["label"], row["error"]) for row in done.rows] == [("billing", "")]


def test_more_bad_rows_than_declared_fail_the_file_and_publish_nothing(organisation: Organisation) -> None:
    done = organisation.drop("staging", "worse.csv", table([(1, "a", "b"), (2, "a", "b"), (3, COMMENTS[0])]))
    assert done.status == "Failed" and done.summary is None
    assert "max_bad_percent" in done.reason or "50" in done.reason, done.reason
    assert "worse.csv" not in organisation.outputs("staging")
    assert mails_about(done.execution)


def test_a_model_that_raises_fails_the_file_and_publishes_nothing(organisation: Organisation) -> None:
    broken = broken_model(organisation, organisation.wait_for_version(1))
    organisation.decide(broken, "Approved")
    done = organisation.drop("staging", "broken.csv", comments())
    organisation.decide(broken, "Rejected")
    assert done.status == "Failed" and "this model cannot read" in done.reason, done.reason
    assert "broken.csv" not in organisation.outputs("staging")
    assert mails_about(done.execution)


def test_json_lines_and_gzip(organisation: Organisation) -> None:
    lines = [{"id": 1, "body": COMMENTS[0], "tags": ["a", 1]}, {"id": 2, "body": COMMENTS[1]}]
    content = gzip.compress("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    done = organisation.drop("staging", "lines.jsonl.gz", content)
    assert done.status == "Succeeded", done.reason
    assert [row["body"] for row in done.rows] == list(COMMENTS[:2])
    assert "lines.jsonl.gz.csv" in organisation.outputs("staging")


def test_a_file_whose_rows_are_in_many_parts_comes_back_in_order(organisation: Organisation) -> None:
    # two machines share it
    texts = [f"{COMMENTS[number % 3]} {number}" for number in range(12_000)]
    done = organisation.drop("production", "many.csv", comments(texts))
    assert done.status == "Succeeded", done.reason
    assert [row["body"] for row in done.rows] == texts
    s3 = organisation.client("s3", PRODUCTION)
    listed = s3.list_objects_v2(
        Bucket=organisation.bucket("production"), Prefix=f"work/{done.execution}/asked/"
    )
    assert listed["KeyCount"] >= 2


def test_a_file_elsewhere_and_an_answer_start_nothing(organisation: Organisation) -> None:
    before = len(organisation.runs("staging"))
    s3 = organisation.client("s3")
    for key in ("output/june.csv", "work/june.csv", "june.csv", "inputs/june.csv"):
        s3.put_object(Bucket=organisation.bucket("staging"), Key=key, Body=comments())
    assert events.wait_idle()
    assert len(organisation.runs("staging")) == before


def test_a_push_that_changes_nothing_asks_nobody(organisation: Organisation) -> None:
    with organisation.watching("the same again") as started:
        organisation.push("Only a commit")
    assert [each["status"] for each in started] == ["Succeeded"], organisation.log("staging")
    assert "Production has the same already." in organisation.log("staging")


def test_a_canary_that_is_answered_wrongly_stops_the_way_to_production(organisation: Organisation) -> None:
    words = organisation.server / "examples/words.csv"
    right = words.read_text(encoding="utf-8")
    words.write_text(right.replace("billing", "gas"), encoding="utf-8")
    before = organisation.record("production")
    with organisation.watching("a wrong canary") as started:
        organisation.push("A wrong label")
    assert [each["status"] for each in started] == ["Failed"]
    assert "gave 2 of 3 rows the right label" in organisation.log("staging")
    assert organisation.record("production") == before
    words.write_text(right, encoding="utf-8")


def test_taken_down_the_files_stay_and_it_can_come_back(organisation: Organisation) -> None:
    organisation.configure(staging__enabled=False)
    with organisation.watching("staging taken down") as started:
        organisation.push("Down")
    assert started[0]["status"] in ("InProgress", "Succeeded"), organisation.log("staging")
    sagemaker = organisation.client("sagemaker")
    names = [each["PipelineName"] for each in sagemaker.list_pipelines()["PipelineSummaries"]]
    assert f"{SLUG}-staging" not in names
    assert "june.csv" in organisation.outputs("staging")
    organisation.configure(staging__enabled=True)
    with organisation.watching("staging back") as started:
        organisation.push("Up again")
    assert {each["status"] for each in started} <= {"InProgress", "Succeeded"}, organisation.log("staging")
    done = organisation.drop("staging", "back.csv", comments())
    assert done.status == "Succeeded", done.reason
