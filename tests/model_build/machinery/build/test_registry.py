"""The registry: compare, approve, reject, lineage and status, and the card of a version.

The commands run against the sandbox's registry and S3. The card is JSON once it is joined, in the layout and
the lengths of a model package's card.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_build import cli, lineage, registry
from model_build.load import load
from model_build.local import sandbox
from model_build.versions import LONGEST, briefly, description, difference

from configuration import command_line

ROOT = Path(__file__).parents[2]
SHA = "5b9c" * 16


def figure(old: float, new: float) -> dict:
    return {"live": old, "candidate": new, "difference": new - old, "confidence_interval": [-0.01, 0.03]}


def evaluation(compared_with: int | None) -> dict:
    """What evaluation has written, beside version `compared_with`."""
    comparison: dict = {"status": "none", "note": "no version is approved yet", "targets": {}, "warnings": []}
    if compared_with is not None:
        classes = [
            {
                "label": name,
                "rows": 40,
                "difference": new - old,
                "live": {"f1": old},
                "candidate": {"f1": new},
            }
            for name, old, new in (("gas", 0.9, 0.8), ("billing", 0.5, 0.7))
        ]
        comparison = {
            "status": "compared",
            "live": {"package": "arn", "version": str(compared_with), "commit": "abc"},
            "rows": {"test": 100, "known_to_live": 0, "compared": 100},
            "fair": True,
            "targets": {
                "service_line": {
                    "figures": {"accuracy": figure(0.8, 0.81), "macro_f1": figure(0.7, 0.7)},
                    "changed": {"fixed": 3, "broken": 2, "both_right": 78, "both_wrong": 17},
                    "classes": classes,
                }
            },
            "data": {"same": True, "rows": {"live": 400, "candidate": 400}},
            "settings": [{"key": "training.epochs", "live": 8, "candidate": 3}],
            "warnings": ["The live model does not know permits."],
        }
    return {
        "gate": {"passed": True, "message": "all 2 thresholds are met"},
        "test_rows": 100,
        "comparison": comparison,
    }


@pytest.fixture
def versions(repository: Path) -> Path:
    """A repository whose sandbox has three versions that wait; the second was measured beside the first."""
    shutil.copyfile(ROOT / "sandbox.toml", repository / "sandbox.toml")
    settings = load(repository)
    project = settings.project
    with sandbox(settings) as running:
        s3, sagemaker = running.client("s3"), running.client("sagemaker")
        sagemaker.create_model_package_group(ModelPackageGroupName=project.model_package_group)
        for number, beside_version in ((1, None), (2, 1), (3, 1)):
            prefix = f"runs/run-{number}"

            def put(name: str, text: str, prefix: str = prefix) -> str:
                s3.put_object(Bucket=project.bucket, Key=f"{prefix}/{name}", Body=text.encode())
                return f"s3://{project.bucket}/{prefix}/{name}"

            report = {
                "input": {"rows": 400, "files": [{"name": "emails.csv"}]},
                "sets": {"train": {"texts": 300}},
            }
            uri = put("evaluation.json", json.dumps(evaluation(beside_version)))
            sagemaker.create_model_package(
                ModelPackageGroupName=project.model_package_group,
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={
                    "Containers": [{"Image": "image", "ModelDataUrl": put("model.tar.gz", "model")}],
                    "SupportedContentTypes": ["text/csv"],
                    "SupportedResponseMIMETypes": ["text/csv"],
                },
                ModelMetrics={
                    "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": uri}}
                },
                MetadataProperties={
                    "CommitId": "c0ffee",
                    "GeneratedBy": f"arn:aws:sagemaker:r:1:pipeline/p/execution/x{number}",
                },
                CustomerMetadataProperties={
                    "git_commit": "c0ffee",
                    "data_sha256": SHA,
                    "report_uri": put("report.html", "<!doctype html>"),
                    "data_report_uri": put("report/data_report.json", json.dumps(report)),
                    "training_job_arn": "arn:aws:sagemaker:ca-central-1:111111111111:training-job/gone",
                },
            )
    return repository


@pytest.fixture
def run(versions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Runs a command in the sandbox; returns its exit status and what it printed."""
    monkeypatch.delenv(command_line.YES, raising=False)

    def command(*arguments: str) -> tuple[int, str]:
        status = cli.main(["--root", str(versions), *arguments, "--local"])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return command


def test_approving_shows_what_speaks_for_and_against_and_keeps_who_and_why(run, versions):
    status, said = run("approve", "1", "--yes", "--comment", "first one,\nlooks fine")
    assert status == 0
    assert "no version is approved yet" in said.lower()
    assert "staging first" in said
    status, said = run("compare", "2")
    assert status == 0
    assert "Beside the live version 1 (on the same 100 test rows)" in said
    assert "0.0100 better" in said
    assert "(may be chance)" in said
    assert "the same" in said
    assert "losses  gas" in said
    assert "gains   billing" in said
    assert "training.epochs: 8 -> 3" in said
    assert "does not know permits" in said
    assert (versions / "reports/x2/report.html").read_text() == "<!doctype html>"
    assert "reports/x2/report.html" in said.replace("\\", "/")
    status, said = run("status")
    assert "Approved by" in said
    assert "first one, looks fine" in said


def test_the_newest_that_waits_is_meant_and_nothing_happens_without_an_answer(run):
    status, said = run("approve")
    assert status == 1
    assert "version 3: waits for approval" in said
    assert "Nothing is changed" in said
    assert run("approve", "--yes")[0] == 0
    status, said = run("compare")
    assert "version 2: waits for approval" in said
    assert "live now is version 3" in said, "it was measured beside another"


def test_what_makes_no_sense_is_refused_with_what_to_do(run):
    run("approve", "2", "--yes")
    status, said = run("approve", "2", "--yes")
    assert status == 1
    assert "approved already" in said
    status, said = run("approve", "1", "--yes")
    assert status == 1
    assert "version 2 is approved and newer" in said
    assert "reject" in said
    status, said = run("approve", "9", "--yes")
    assert status == 1
    assert "version 9: expected one of 3 (waits for approval), 2 (approved), 1 (waits for approval)" in said
    with pytest.raises(SystemExit):
        run("reject", "2", "--yes")  # without a reason
    assert run("reject", "2", "--reason", " ", "--yes")[0] == 1


def test_rejecting_says_what_comes_back(run):
    run("approve", "1", "--yes")
    run("approve", "2", "--yes")
    status, said = run("reject", "3", "--reason", "worse on gas", "--yes")
    assert status == 0
    assert "changes nothing that is live" in said
    status, said = run("reject", "2", "--reason", "answers billing wrongly", "--yes")
    assert "brings version 1 back" in said
    assert "Rejected by" in said
    assert "answers billing wrongly" in said
    status, said = run("reject", "2", "--reason", "again", "--yes")
    assert status == 1
    assert "rejected already" in said
    status, said = run("reject", "1", "--reason", "also bad", "--yes")
    assert "no other is approved" in said
    status, said = run("approve", "2", "--yes")
    assert status == 0, "a rejected one can be approved again"


def test_with_credentials_the_decision_is_in_their_name_and_another_account_is_refused(
    versions, capsys, monkeypatch
):
    settings = load(versions)
    accounts = settings.project.accounts
    with sandbox(settings) as running:
        for name, value in running.environment(accounts.shared_services).items():
            monkeypatch.setenv(name, value)
        assert cli.main(["--root", str(versions), "approve", "1", "--yes"]) == 0
        who = running.client("sts").get_caller_identity()["Arn"].rsplit(":", 1)[-1]
        assert f"Approved by {who} at" in capsys.readouterr().out
        for name, value in running.environment(accounts.production).items():
            monkeypatch.setenv(name, value)
        assert cli.main(["--root", str(versions), "reject", "1", "--reason", "no", "--yes"]) == 1
        assert f"expected account {accounts.shared_services}" in capsys.readouterr().err


def test_the_live_model_becomes_parameters_and_what_is_gone_a_placeholder(run, versions):
    run("approve", "2", "--yes")
    settings = load(versions)
    with sandbox(settings) as running:
        found = registry.live(settings.project, running.client("sagemaker"))
        given = registry.live_parameters(found, running.client("s3"))
    bucket = settings.project.bucket
    assert given[registry.LIVE_PACKAGE].endswith("/2")
    assert given[registry.LIVE_COMMIT] == "c0ffee"
    assert given[registry.LIVE_MODEL] == f"s3://{bucket}/runs/run-2/model.tar.gz"
    assert given[registry.LIVE_REPORT] == f"s3://{bucket}/runs/run-2/report"
    assert registry.LIVE_SETTINGS not in given, "this version carries none: the default, a placeholder, stays"
    assert registry.live_parameters(None, None) == {registry.LIVE_PACKAGE: registry.NONE}


def test_lineage_goes_from_a_result_back_to_commit_data_and_people(run, versions, tmp_path):
    run("approve", "2", "--yes", "--comment", "good")
    result = tmp_path / "june.csv"
    result.write_text("id,comment,label,model_version\n1,hello,gas,2\n", encoding="utf-8")
    status, said = run("lineage", str(result))
    assert status == 0
    assert "version 2 of email-router, approved" in said
    for part in ("Approved by", "good", "c0ffee", SHA, "emails.csv", "execution/x2", "compared with"):
        assert part in said, part
    assert "not readable" in said, "a training job that is gone does not hide the rest"
    status, said = run("lineage", "--json")
    found = json.loads(said)
    assert found["asked"] == "the live version"
    assert found["version"]["number"] == 2
    assert found["evaluation"]["compared_with"] == "version 1"
    status, said = run("lineage", str(tmp_path / "no.csv"))
    assert status == 1
    assert "expected a version's number" in said


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        (
            "a.csv.summary.json",
            '{\n"model_package_arn": "arn:aws:sagemaker:x",\n"rows": 1}',
            "arn:aws:sagemaker:x",
        ),
        ("live.json", '{"model": {"package_arn": "arn:aws:sagemaker:y"}}', "arn:aws:sagemaker:y"),
        ("a.jsonl", '{"text": "a", "model_version": 7}\n{"text": "b", "model_version": 7}\n', 7),
        ("a.csv", '\ufefftext,model_version\n"a\nb",12\n', 12),
    ],
)
def test_files_that_carry_a_version_are_read(tmp_path, name, text, found):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert lineage.of_file(tmp_path / name) == found


def test_what_is_kept_fits_into_one_line_of_the_service():
    text = description("Rejected", "assumed-role/Ann/ann@example.org", "a\nb\t" + "c" * 2000)
    assert len(text) == LONGEST
    assert "\n" not in text


def test_no_difference_is_never_called_better():
    assert difference(0.00004, 4) == "the same"
    assert difference(-0.0001, 4) == "0.0001 worse"


def test_a_run_says_in_a_line_how_it_compares():
    assert briefly(evaluation(4)) == ["Beside the live version 4: accuracy 0.010 better, macro F1 the same"]
    assert briefly(evaluation(None)) == []


# "SageMakerModelCardSchema" in "View the Details of a Model Version" (SageMaker Developer Guide): the keys of
# each object; nothing else may be there. A number is the greatest length of a text.
LAYOUT: dict = {
    "model_overview": {"model_creator": 1024, "model_artifact": [1024]},
    "intended_uses": {
        "purpose_of_model": 2048,
        "intended_uses": 2048,
        "factors_affecting_model_efficiency": 2048,
        "risk_rating": 7,
        "explanations_for_risk_rating": 2048,
    },
    "business_details": {
        "business_problem": 2048,
        "business_stakeholders": 2048,
        "line_of_business": 2048,
    },
    "training_details": {
        "training_observations": 1024,
        "training_job_details": {
            "training_arn": 1024,
            "training_datasets": [1024],
            "training_environment": {"container_image": [1024]},
            "user_provided_hyper_parameters": [{"name": 255, "value": 255}],
        },
    },
    "evaluation_details": [
        {
            "name": 63,
            "evaluation_observation": 2096,
            "datasets": [1024],
            "metadata": {"*": 1024},
            "metric_groups": [
                {"name": 63, "metric_data": [{"name": 255, "notes": 1024, "type": 11, "value": 63}]}
            ],
        }
    ],
    "additional_information": {
        "ethical_considerations": 2048,
        "caveats_and_recommendations": 2048,
        "custom_details": {"*": 1024},
    },
}


def problems(content: object, layout: object, where: str = "card") -> list[str]:
    """What in a card is not as the layout says."""
    if isinstance(layout, dict):
        if not isinstance(content, dict):
            return [f"{where}: expected an object"]
        allowed = {key: layout.get(key, layout.get("*")) for key in content}
        return [
            text
            for key, inner in allowed.items()
            for text in (
                [f"{where}.{key}: unknown"]
                if inner is None
                else problems(content[key], inner, f"{where}.{key}")
            )
        ]
    if isinstance(layout, list):
        if not isinstance(content, list):
            return [f"{where}: expected a list"]
        return [text for each in content for text in problems(each, layout[0], f"{where}[]")]
    if isinstance(content, str):
        return [] if 0 < len(content) <= layout else [f"{where}: {len(content)} characters"]
    return [] if isinstance(content, int | float) else [f"{where}: expected a text or a number"]


EVALUATION = [
    {
        "name": "Test set",
        "evaluation_observation": "40 rows",
        "metric_groups": [
            {"name": "figures", "metric_data": [{"name": "accuracy", "type": "number", "value": 0.8}]}
        ],
    }
]


def joined(repository: Path) -> dict:
    """The card as the pipeline makes it, with its variables as SageMaker would fill them in."""
    pieces = registry.joined_card(
        registry.known_card(
            load(repository), "abc123", {"seed": "13", "epochs": "8", "base-model": ""}, "image:1"
        ),
        {
            "model_artifact": ["s3://bucket/models/model.tar.gz"],  # a list stands for a variable here
            "training_arn": ["arn:aws:sagemaker:r:1:training-job/a"],
            "training_datasets": ["s3://bucket/data"],
            "custom_details": {"git_commit": "abc123", "data_sha256": ["5b9c"]},
        },
        [json.dumps(EVALUATION)],
        [json.dumps('careful: "billing" is weak')],
    )
    assert all(isinstance(piece, str) or len(piece) == 1 for piece in pieces)
    text = "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)
    assert "\n" not in text, "the pattern of ModelCardContent is .*"
    content: dict = json.loads(text)
    return content


def test_what_nobody_has_stated_is_said_to_be_so(repository):
    content = joined(repository)
    assert problems(content, LAYOUT) == []
    assert content["intended_uses"]["purpose_of_model"] == registry.NOT_STATED
    assert content["intended_uses"]["risk_rating"] == "Unknown"
    details = content["training_details"]["training_job_details"]
    assert details["user_provided_hyper_parameters"] == [{"name": "seed", "value": "13"}]
    assert content["model_overview"]["model_artifact"] == ["s3://bucket/models/model.tar.gz"]
    assert content["evaluation_details"] == EVALUATION
    assert content["additional_information"]["caveats_and_recommendations"].startswith("careful")
    assert content["additional_information"]["custom_details"]["data_sha256"] == "5b9c"


def test_the_longest_statements_fit(repository, edit):
    longest = "x" * 2000
    for key in (
        "purpose",
        "intended_uses",
        "not_for",
        "stakeholders",
        "risk_reason",
        "ethical_considerations",
    ):
        edit("config/model.yaml", f"  {key}: null", f"  {key}: {longest}")
    edit("config/model.yaml", "risk_rating: Unknown", "risk_rating: High")
    content = joined(repository)
    assert problems(content, LAYOUT) == []
    assert content["intended_uses"]["risk_rating"] == "High"
    assert len(json.dumps(content)) < 100_000


@pytest.mark.parametrize("statement", ['says "so"', "naïve · ünïcode", "a\\nb"])
def test_any_statement_stays_json(repository, edit, statement):
    edit("config/model.yaml", "purpose: null", f"purpose: {json.dumps(statement)}")
    assert joined(repository)["intended_uses"]["purpose_of_model"] == statement
