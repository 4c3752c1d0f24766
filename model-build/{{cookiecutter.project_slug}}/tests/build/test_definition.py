"""The definition: deterministic, complete, and made of requests that the service's own model admits."""

import json
import re
import subprocess
from pathlib import Path

import botocore.session
import botocore.validate
import pytest

from configuration import UserError
from model_build import assets
from model_build.config import Settings
from model_build.definition import build, steps_of
from model_build.load import UNKNOWN, base_model, commit, load
from model_build.pipeline import describe

OPERATIONS = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "RegisterModel": ("CreateModelPackage", None),
}

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def settings(small: Path) -> Settings:
    """The settings of a repository with a small base model."""
    return load(small)


def step(definition: str, name: str) -> dict:
    return next(step for step in steps_of(definition) if step["Name"] == name)


def with_values(value):
    """Pipeline variables replaced by a text, as the service does before it validates a request."""
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)) in ("Get", "Std:Join", "Std:JsonGet"):
            return "s3://resolved/at/run-time"
        return {key: with_values(item) for key, item in value.items()}
    return [with_values(item) for item in value] if isinstance(value, list) else value


def test_two_builds_of_the_same_content_are_byte_equal(settings, tmp_path_factory):
    first = build(settings, {"GIT_COMMIT": "abc"})
    for file in settings.root.rglob("*.py"):  # a checkout elsewhere has other times
        file.touch()
    second = build(load(settings.root), {"GIT_COMMIT": "abc"})
    assert first.definition == second.definition
    assert first.uploads == second.uploads


def test_only_changed_code_changes_the_uri_of_the_code(settings):
    before = build(settings, {}).definition
    with (settings.root / "steps/train.py").open("a") as file:
        file.write("# a change\n")
    after = build(settings, {}).definition
    assert before != after
    assert [s["Name"] for s in steps_of(before)] == [s["Name"] for s in steps_of(after)]


def test_another_threshold_leaves_the_training_as_it_was(settings, edit):
    """Else a changed threshold would train again instead of taking the model from the cache."""
    before = step(build(settings, {}).definition, "Train")
    edit("config/model.yaml", "accuracy: {at_least: 0.70}", "accuracy: {at_least: 0.99}")
    assert step(build(load(settings.root), {}).definition, "Train") == before


def test_every_request_fits_the_service_model(settings):
    model = botocore.session.get_session().get_service_model("sagemaker")
    definition = build(settings, {}).definition
    checked = 0
    for item in steps_of(definition):
        if item["Type"] in OPERATIONS:
            operation, name = OPERATIONS[item["Type"]]
            request = with_values(item["Arguments"]) | ({name: "name"} if name else {})
            report = botocore.validate.ParamValidator().validate(
                request, model.operation_model(operation).input_shape
            )
            assert not report.has_errors(), f"{item['Name']}: {report.generate_report()}"
            checked += 1
    assert checked == 4


def test_inference_code_is_named_in_the_container(settings):
    container = step(build(settings, {}).definition, "Register")["Arguments"]["InferenceSpecification"][
        "Containers"
    ][0]
    assert container["Environment"]["SAGEMAKER_PROGRAM"] == "inference.py"
    assert container["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/model/code"


def test_a_version_waits_for_approval_and_says_what_it_was_made_from(settings):
    register = step(build(settings, {"GIT_COMMIT": "abc123"}).definition, "Register")["Arguments"]
    assert register["ModelApprovalStatus"] == "PendingManualApproval"
    assert register["MetadataProperties"]["CommitId"] == "abc123"
    assert {"git_commit", "data_sha256", "config_sha256", "config_uri", "report_uri", "accuracy"} <= set(
        register["CustomerMetadataProperties"]
    )


def test_encryption_and_network_of_project_yaml_reach_every_job(settings, edit):
    key = "arn:aws:kms:ca-central-1:111111111111:key/0a1b"
    text = (settings.root / "config/project.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^kms_key_arn:.*$|^network:.*(\n  .*)*", "", text)
    text += f"\nkms_key_arn: {key}\nnetwork: {{subnets: [subnet-0a], security_group_ids: [sg-0b]}}\n"
    (settings.root / "config/project.yaml").write_text(text, encoding="utf-8")
    definition = build(load(settings.root), {}).definition
    for name in ("Preprocess", "Evaluate"):
        arguments = step(definition, name)["Arguments"]
        assert arguments["ProcessingOutputConfig"]["KmsKeyId"] == key
        assert arguments["ProcessingResources"]["ClusterConfig"]["VolumeKmsKeyId"] == key
        assert arguments["NetworkConfig"]["VpcConfig"] == {
            "Subnets": ["subnet-0a"],
            "SecurityGroupIds": ["sg-0b"],
        }
    train = step(definition, "Train")["Arguments"]
    assert train["OutputDataConfig"]["KmsKeyId"] == key
    assert train["VpcConfig"]["Subnets"] == ["subnet-0a"]


@pytest.mark.parametrize(
    ("instance_type", "has_key"),
    [("ml.g5.xlarge", False), ("ml.m5.xlarge", True), ("ml.m5d.xlarge", False), ("ml.g4dn.xlarge", False)],
)
def test_storage_inside_an_instance_gets_no_key_because_the_service_refuses_one(
    settings, edit, instance_type, has_key
):
    edit("config/model.yaml", "ml.g5.xlarge", instance_type)
    key = "arn:aws:kms:ca-central-1:111111111111:key/0a1b"
    definition = build(load(settings.root).with_key(key), {}).definition
    resources = step(definition, "Train")["Arguments"]["ResourceConfig"]
    assert resources.get("VolumeKmsKeyId") == (key if has_key else None)


def test_several_instances_mean_torchrun(settings, edit):
    edit("config/model.yaml", "instance_count: 1", "instance_count: 2")
    train = step(build(load(settings.root), {}).definition, "Train")["Arguments"]
    assert train["ResourceConfig"]["InstanceCount"] == 2
    assert train["HyperParameters"]["sagemaker_torch_distributed_enabled"] == "true"
    assert train["EnableInterContainerTrafficEncryption"] is True


def test_a_limit_of_tokens_is_a_hyperparameter_only_when_it_is_set(settings, edit):
    before = step(build(settings, {}).definition, "Train")["Arguments"]["HyperParameters"]
    edit("config/model.yaml", "tokens_per_pass: null", "tokens_per_pass: 4096")
    after = step(build(load(settings.root), {}).definition, "Train")["Arguments"]["HyperParameters"]
    assert "tokens-per-pass" not in before
    assert after["tokens-per-pass"] == "4096"


def test_a_hub_id_is_a_hyperparameter_and_a_folder_is_a_channel(settings, edit):
    channels = {
        c["ChannelName"]
        for c in step(build(settings, {}).definition, "Train")["Arguments"]["InputDataConfig"]
    }
    assert channels == {"train", "validation", "base_model"}
    edit("config/model.yaml", "base: tiny-model", "base: org/model")
    train = step(build(load(settings.root), {}).definition, "Train")["Arguments"]
    assert train["HyperParameters"]["base-model"] == "org/model"
    assert {c["ChannelName"] for c in train["InputDataConfig"]} == {"train", "validation"}


def test_a_ready_made_test_file_becomes_an_input(settings, edit):
    edit("config/model.yaml", "test_source: null", "test_source: data/emails.csv")
    edit("config/model.yaml", "train: 0.7", "train: 0.9")
    edit("config/model.yaml", "test: 0.2", "test: 0")
    preprocess = step(build(load(settings.root), {}).definition, "Preprocess")["Arguments"]
    assert "test" in {i["InputName"] for i in preprocess["ProcessingInputs"]}
    assert "--test-input" in preprocess["AppSpecification"]["ContainerArguments"]


def test_the_training_job_finds_the_figures_of_a_line_as_the_step_prints_it(settings):
    from evaluation import metrics  # of steps/

    found = step(build(settings, {}).definition, "Train")["Arguments"]["AlgorithmSpecification"]
    patterns = {each["Name"]: each["Regex"] for each in found["MetricDefinitions"]}
    names = ["train:loss", *(f"validation:{name}" for name in metrics.VALIDATION)]
    assert list(patterns) == names
    line = "epoch 1 of 8: " + " ".join(metrics.logged(name, 0.5 + n / 8) for n, name in enumerate(names))
    found = {name: re.findall(pattern, line) for name, pattern in patterns.items()}
    assert found == {name: [f"{0.5 + n / 8:.4f}"] for n, name in enumerate(names)}


def test_the_code_archive_depends_on_content_only(settings):
    code = assets.code("bucket", settings.root / "steps")
    again = assets.code("bucket", settings.root / "steps")
    assert code.files[assets.CODE_ARCHIVE] == again.files[assets.CODE_ARCHIVE]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("package:no_such_package", "is not installed"),
        ("./nowhere", "expected package:NAME, a hub id, s3://… or a folder"),
        ("steps", "expected a folder with config.json and weights"),
        ("not a hub id", "expected package:NAME, a hub id"),
    ],
)
def test_a_base_model_that_is_not_there_is_explained(settings, base, message):
    with pytest.raises(UserError, match=message):
        base_model(base, settings.root)


def test_missing_data_is_explained(settings, edit):
    edit("config/model.yaml", "data/emails.csv", "data/gone.csv")
    with pytest.raises(UserError, match="gone.csv: expected a file or a folder with the data"):
        build(load(settings.root), {})


def test_the_definition_fits_in_the_request(settings):
    definition = build(settings, {}).definition
    assert len(definition) < 1_048_576
    assert json.loads(definition)["Version"] == "2020-12-01"


def test_evaluation_reads_the_live_model_or_a_placeholder_that_is_uploaded(settings):
    built = build(settings, {})
    evaluate = step(built.definition, "Evaluate")["Arguments"]
    inputs = {each["InputName"]: each["S3Input"]["S3Uri"] for each in evaluate["ProcessingInputs"]}
    assert inputs["live_model"] == {"Get": "Parameters.LiveModel"}
    assert inputs["live_settings"] == {"Get": "Parameters.LiveSettings"}
    assert inputs["live_report"] == {"Get": "Parameters.LiveReport"}
    assert {"Get": "Parameters.LiveModelPackage"} in evaluate["AppSpecification"]["ContainerArguments"]
    assert built.parameters["LiveModelPackage"] == "unresolved"
    uploaded = {asset.uri for asset in built.uploads}
    assert {built.parameters[name] for name in ("LiveModel", "LiveSettings", "LiveReport")} <= uploaded
    assert inputs["settings"] in uploaded


def test_settings_that_do_not_make_a_model_do_not_measure_it_again(settings, edit):
    """They are in no input of evaluation; the others are, spelled out with their defaults."""
    before = step(build(settings, {}).definition, "Evaluate")
    edit("config/model.yaml", "max_runtime_minutes: 240", "max_runtime_minutes: 241")
    edit("config/model.yaml", "purpose: null", "purpose: routes emails")
    assert step(build(load(settings.root), {}).definition, "Evaluate") == before
    edit("config/model.yaml", "epochs: 8", "epochs: 7")
    built = build(load(settings.root), {})
    assert step(built.definition, "Evaluate") != before
    (asset,) = (each for each in built.uploads if each.name == "settings")
    content = json.loads(asset.files["settings.json"])
    assert content["training"]["epochs"] == 7
    assert not {"acceptance", "compute", "card", "comparison", "schedule"} & set(content)


def test_a_margin_is_a_condition_and_none_is_none(settings, edit):
    def gate() -> list[dict]:
        conditions: list[dict] = step(build(load(settings.root), {}).definition, "QualityGate")["Arguments"][
            "Conditions"
        ]
        return [each for each in conditions if "worse_than_live_by" in json.dumps(each)]

    assert gate() == []
    edit("config/model.yaml", "not_worse_by: null", "not_worse_by: 0.02")
    (condition,) = gate()
    assert condition["Type"] == "LessThanOrEqualTo"
    assert condition["RightValue"] == 0.02
    evaluate = step(build(load(settings.root), {}).definition, "Evaluate")["Arguments"]
    arguments = evaluate["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--not-worse-by") + 1] == "macro_f1=0.02"


@pytest.fixture
def targets(small, two_targets, edit) -> Settings:
    """Those of one with two targets and triage."""
    edit("config/model.yaml", "triage: null", "triage: {precision: 0.9}")
    return load(two_targets)


def test_each_targets_bounds_are_conditions_on_its_own_figures(targets):
    steps = {step["Name"]: step for step in steps_of(build(targets, {"GIT_COMMIT": "abc"}).definition)}
    conditions = steps["QualityGate"]["Arguments"]["Conditions"]
    found = [
        (each["Type"], each["LeftValue"]["Std:JsonGet"]["Path"], each["RightValue"]) for each in conditions
    ]
    one, several = (
        f"targets.{name}.{kind}_classification_metrics"
        for name, kind in (("sentiment", "multiclass"), ("topics", "multilabel"))
    )
    assert found == [
        ("GreaterThanOrEqualTo", f"{one}.accuracy.value", 0.7),
        ("GreaterThanOrEqualTo", f"{one}.macro_f1.value", 0.6),
        ("GreaterThanOrEqualTo", f"{several}.micro_f1.value", 0.5),
        ("LessThanOrEqualTo", f"{several}.hamming_loss.value", 0.2),
    ]
    assert "topics.hamming_loss" in steps["Register"]["Arguments"]["CustomerMetadataProperties"]
    assert steps["Train"]["Arguments"]["HyperParameters"]["triage-precision"] == "sentiment=0.9,topics=0.9"
    assert "topics=;" in json.dumps(steps["Preprocess"]["Arguments"]["AppSpecification"])


def test_describe_names_the_targets_and_their_bounds(targets):
    text = describe(targets)
    assert "sentiment (one label, with review below 90% precision)" in text
    assert "topics (any number of labels, separated by ;, with review below 90% precision)" in text
    assert "sentiment.accuracy >= 0.7 and" in text
    assert "topics.hamming_loss <= 0.2" in text


def test_the_archive_of_a_commit_says_which(tmp_path):
    (tmp_path / ".commit").write_text(f"{COMMIT}\n")
    assert commit(tmp_path, {}) == COMMIT


def test_a_format_that_nobody_filled_in_is_no_commit(tmp_path):
    (tmp_path / ".commit").write_text("$Format:%H$\n")
    assert commit(tmp_path, {}) == UNKNOWN
    (tmp_path / ".commit").unlink()
    assert commit(tmp_path, {}) == UNKNOWN


def test_the_environment_comes_first(tmp_path):
    (tmp_path / ".commit").write_text(f"{COMMIT}\n")
    assert commit(tmp_path, {"GIT_COMMIT": "abc"}) == "abc"


def test_git_archive_fills_in_the_format(tmp_path):
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    (tmp_path / ".gitattributes").write_text(".commit export-subst\n")
    (tmp_path / ".commit").write_text("$Format:%H$\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "First")
    git("archive", "--format=zip", "--output=source.zip", "HEAD")
    archive = tmp_path / "unpacked"
    subprocess.run(["python3", "-m", "zipfile", "-e", "source.zip", str(archive)], cwd=tmp_path, check=True)
    assert commit(archive, {}) == git("rev-parse", "HEAD").strip()
