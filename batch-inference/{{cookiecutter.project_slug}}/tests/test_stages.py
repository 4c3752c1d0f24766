"""The pipeline's definition, what staging's build hands on, and that production takes nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from batch_inference import definition, retarget, stages
from batch_inference import record as records
from batch_inference.config import Settings
from batch_inference.record import Run
from batch_inference.requests import target
from batch_inference.retarget import Substitution
from configuration import UserError
from release.build import Build
from release.history import History

OPERATIONS = {
    "Processing": "CreateProcessingJob",
    "Transform": "CreateTransformJob",
    "Model": "CreateModel",
}
NAMES = {"Processing": "ProcessingJobName", "Transform": "TransformJobName", "Model": "ModelName"}


@pytest.fixture
def built(settings: Settings) -> str:
    return definition.build(settings, target(settings, "staging"))


def steps(text: str) -> dict[str, Any]:
    found = json.loads(text)["Steps"]
    branches = found[-1]["Arguments"]
    return {step["Name"]: step for step in [*found, *branches["IfSteps"], *branches["ElseSteps"]]}


def resolved(value: Any) -> Any:
    """The value with a text in the place of each expression, as the service would have it."""
    if isinstance(value, dict):
        if {"Get"} == value.keys():
            return "s3://bucket/x" if "Uri" in value["Get"] or "Path" in value["Get"] else "name"
        if {"Std:Join"} == value.keys():
            return "s3://bucket/x"
        return {key: resolved(inner) for key, inner in value.items()}
    return [resolved(inner) for inner in value] if isinstance(value, list) else value


def test_the_same_repository_gives_the_same_bytes(settings: Settings, built: str) -> None:
    assert definition.build(settings, target(settings, "staging")) == built


def test_the_parameters_are_the_event_s_and_have_no_underscore(built: str) -> None:
    names = [parameter["Name"] for parameter in json.loads(built)["Parameters"]]
    assert names == list(definition.PARAMETERS) and not [name for name in names if "_" in name]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_service_takes_every_request(settings: Settings, environment: str) -> None:
    service = botocore.session.get_session().get_service_model("sagemaker")
    checked = 0
    for step in steps(definition.build(settings, target(settings, environment))).values():
        if step["Type"] in OPERATIONS:
            request = {NAMES[step["Type"]]: "name", **resolved(step["Arguments"])}
            shape = service.operation_model(OPERATIONS[step["Type"]]).input_shape
            report = ParamValidator().validate(request, shape)
            assert not report.has_errors(), f"{step['Name']}: {report.generate_report()}"
            checked += 1
    assert checked == 5


def test_no_folder_s_name_begins_like_another_s_which_a_prefix_would_match(built: str) -> None:
    folders = {
        part["Std:Join"]["Values"][2]
        for step in steps(built).values()
        if step["Type"] == "Processing"
        for channel in (
            *step["Arguments"]["ProcessingInputs"],
            *step["Arguments"]["ProcessingOutputConfig"]["Outputs"],
        )
        for part in [(channel.get("S3Input") or channel["S3Output"])["S3Uri"]]
        if "Std:Join" in part
    }
    assert {"asked", "request", "rows", "source"} <= folders
    assert not [(one, two) for one in folders for two in folders if one != two and two.startswith(one)]


def test_a_file_without_a_text_needs_no_model(built: str) -> None:
    branches = steps(built)["AnyText"]["Arguments"]
    assert [step["Name"] for step in branches["IfSteps"]] == ["CreateModel", "Transform", "Answer", "Publish"]
    assert [step["Name"] for step in branches["ElseSteps"]] == ["AnswerNoText", "PublishNoText"]
    inputs = [each["InputName"] for each in branches["ElseSteps"][0]["Arguments"]["ProcessingInputs"]]
    assert "answers" not in inputs


def test_the_model_server_waits_as_long_as_the_transform_job(built: str) -> None:
    found = steps(built)
    client = found["Transform"]["Arguments"]["ModelClientConfig"]
    variables = found["CreateModel"]["Arguments"]["PrimaryContainer"]["Environment"]
    assert variables["SAGEMAKER_MODEL_SERVER_TIMEOUT"] == str(client["InvocationsTimeoutInSeconds"])


def test_jobs_wait_for_instances_when_many_files_come_at_once(built: str) -> None:
    for step in steps(built).values():
        if step["Type"] in ("Processing", "Transform"):
            kinds = [kind for policy in step["RetryPolicies"] for kind in policy["ExceptionType"]]
            assert "SageMaker.RESOURCE_LIMIT" in kinds, step["Name"]


def test_production_s_definition_comes_from_staging_s_and_is_what_one_would_build(
    settings: Settings, built: str
) -> None:
    # every key of both environments differs in tests/transform.yaml: one that is not declared shows here
    made = retarget.retarget(built, retarget.substitutions(settings))
    assert made == definition.build(settings, target(settings, "production"))
    assert made != built


def test_the_other_way_round_as_well(repository: Path, settings: Settings) -> None:
    swapped = settings.transform.model_copy(
        update={"staging": settings.transform.production, "production": settings.transform.staging}
    )
    settings = settings.model_copy(update={"transform": swapped})
    built = definition.build(settings, target(settings, "staging"))
    made = retarget.retarget(built, retarget.substitutions(settings))
    assert made == definition.build(settings, target(settings, "production"))


def test_substitutions_survive_the_artifact(settings: Settings) -> None:
    declared = retarget.substitutions(settings)
    assert retarget.from_json(retarget.to_json(declared), "x") == declared


def test_one_account_for_both_environments(settings: Settings) -> None:
    accounts = settings.project.accounts.model_copy(update={"production": "111111111111"})
    project = settings.project.model_copy(update={"accounts": accounts})
    settings = settings.model_copy(update={"project": project})
    built = definition.build(settings, target(settings, "staging"))
    made = retarget.retarget(built, retarget.substitutions(settings))
    assert made == definition.build(settings, target(settings, "production"))


def test_what_a_substitution_does_not_find_is_an_error(settings: Settings, built: str) -> None:
    changes = retarget.substitutions(settings)
    broken = built.replace('"InstanceCount": 1', '"InstanceCount": 7')
    with pytest.raises(UserError, match=r"Transform\.TransformResources\.InstanceCount: expected 1 .*got 7"):
        retarget.retarget(broken, changes)


def test_what_is_left_of_staging_is_an_error_that_says_where(settings: Settings, built: str) -> None:
    changes = [change for change in retarget.substitutions(settings) if change.what != "begin_arn"]
    changes = [change for change in changes if change.what not in ("account", "pipeline")]
    with pytest.raises(UserError) as caught:
        retarget.retarget(built, changes)
    assert "Steps[Begin].FunctionArn: " in str(caught.value)
    assert "(the name of the environment)" in str(caught.value)


def test_a_substitution_that_was_put_in_is_not_looked_at_again() -> None:
    document = json.dumps({"Steps": [], "Text": "a b"})
    changes = [Substitution("one", None, "a", "b"), Substitution("two", None, "b", "c")]
    assert json.loads(retarget.retarget(document, changes))["Text"] == "b c"


def test_a_tag_that_says_staging_is_a_person_s_own(settings: Settings) -> None:
    project = settings.project.model_copy(update={"tags": {"cost-centre": "staging"}})
    settings = settings.model_copy(update={"project": project})
    built = definition.build(settings, target(settings, "staging"))
    assert '"Value": "staging"' in retarget.retarget(built, retarget.substitutions(settings))


@pytest.fixture
def run(settings: Settings) -> Run:
    """A build that has no AWS: nothing of what is tested here may reach for it."""
    build = Build(settings.root, settings.project, None, "e-1", "c" * 40, None)
    return Run(settings, build, History(None, "bucket", records.from_json))


@pytest.fixture
def folder(run: Run) -> Path:
    """What staging's build has left."""
    stages.render(run)
    return run.build.folder


def test_everything_is_rendered_once_for_both_environments(run: Run) -> None:
    made = stages.render(run)
    assert sorted(path.name for path in run.build.folder.iterdir()) == [
        "functions.zip",
        "production-definition.json",
        "production.json",
        "staging-definition.json",
        "staging.json",
        "substitutions.json",
    ]
    assert made["production"].settings["transform"]["instance_count"] == 3
    assert made["staging"].settings["transform"]["instance_count"] == 1
    assert made["staging"].functions_sha256 == made["production"].functions_sha256
    assert made["staging"].terraform == made["production"].terraform


def test_a_record_survives_its_file(run: Run) -> None:
    made = stages.render(run)["production"]
    again = records.read(run.build.folder / "production.json", "x")
    assert again == made and again.serves_as(made)
    assert again.serves_as(made._replace(commit="another"))
    assert not again.serves_as(made._replace(definition_sha256="another"))


def test_the_same_commit_gives_the_same_bytes(run: Run, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stages.render(run)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def change(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        document = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(change(document)), encoding="utf-8")

    return run


def more_machines(document: dict[str, Any]) -> dict[str, Any]:
    document["Parameters"][0]["DefaultValue"] = "another-bucket"
    return document


def without_names(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in changes if each["at"] or each["what"] == "account"]


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda folder: (folder / "production.json").unlink(), "production.json: expected the record"),
        (lambda folder: (folder / "substitutions.json").unlink(), "substitutions.json: expected the file"),
        (lambda folder: (folder / "functions.zip").unlink(), "functions.zip: expected the file"),
        (lambda folder: (folder / "functions.zip").write_bytes(b"x"), "functions.zip: expected what staging"),
        (
            change("staging-definition.json", more_machines),
            "production-definition.json: expected what staging",
        ),
        (change("substitutions.json", without_names), "expected nothing of staging in it"),
        (change("substitutions.json", lambda found: [{"what": "x"}]), "expected the substitutions"),
        (change("production.json", lambda found: {**found, "version": 2}), "another version"),
    ],
)
def test_production_takes_exactly_what_staging_has_proven(
    run: Run, folder: Path, tamper: Callable[[Path], None], words: str
) -> None:
    tamper(folder)
    with pytest.raises(UserError) as caught:
        stages.production(run, lambda _: None)
    assert words in str(caught.value)
