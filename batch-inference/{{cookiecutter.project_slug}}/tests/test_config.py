"""What config/ may say, and what `check` says of it before a push, without AWS."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from batch_inference import cli
from batch_inference.config import Settings, json_schema, load
from configuration import ConfigError

ROOT = Path(__file__).parents[1]
FILE = "config/transform.yaml"


def problem(repository: Path, **changes: object) -> str:
    """What `load` says after setting keys of the file, two underscores between a key and one in it."""
    path = repository / FILE
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        *parents, last = name.split("__")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(repository)
    return str(caught.value)


def test_the_configuration_as_generated_is_valid() -> None:
    settings = load(ROOT)
    assert settings.transform.staging.transform.instance_count == 1
    assert (ROOT / settings.transform.canary.file).is_file()


def test_left_out_keys_have_the_values_that_the_file_shows() -> None:
    shown = yaml.safe_load((ROOT / FILE).read_text(encoding="utf-8"))
    few = {key: shown[key] for key in ("model_package_group",)} | {
        "input": {"text_columns": shown["input"]["text_columns"]},
    }
    from batch_inference.config import TransformConfig

    default = TransformConfig.model_validate(few).model_dump(mode="json")
    for section in ("input", "output", "retention"):
        assert default[section] == shown[section]
    # the file asks for more texts in staging, where the canary is most of what is answered
    more = {"watching": {**default["staging"]["watching"], "texts": shown["staging"]["watching"]["texts"]}}
    assert {**default["staging"], **more} == shown["staging"]


def test_the_schema_for_editors_is_that_of_the_models() -> None:
    assert (ROOT / "config/transform.schema.json").read_text(encoding="utf-8") == json_schema()
    assert json.loads(json_schema())["$defs"]["Transform"]["properties"]["instance_count"]["description"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("staging__transform__max_payload_mb", 60, "at most 100 MB at a time, SageMaker's limit"),
        ("staging__transform__max_payload_mb", 60, "got 2 x 60 = 120 MB"),
        ("staging__transform__max_payload_mb", 0, "expected 1 or more, got 0"),
        ("staging__transform__timeout_seconds", 3601, "expected 3600 or less, got 3601"),
        ("staging__transform__max_retries", 4, "expected 3 or less, got 4"),
        ("staging__transform__strategy", "Batch", "one of 'MultiRecord' or 'SingleRecord', got \"Batch\""),
        ("staging__transform__split", "RecordIO", "one of 'Line' or 'None', got \"RecordIO\""),
        ("staging__transform__split", "None", 'join: expected "None" with split: None'),
        (
            "staging__transform__instance_type",
            "m5.large",
            "an instance type of SageMaker, such as ml.m5.large",
        ),
        ("staging__transform__instance_count", 0, "expected 1 or more, got 0"),
        ("staging__transform__environment", {"API_TOKEN": "x"}, "API_TOKEN: expected no secret"),
        ("staging__transform__instance_cont", 2, "unknown key; did you mean instance_count?"),
        ("staging__processing__volume_gb", 20000, "expected 16384 or less, got 20000"),
        ("input__formats", ["xlsx"], "one of 'csv' or 'jsonl', got \"xlsx\""),
        ("input__formats", ["csv", "csv"], "each of them once"),
        ("input__encoding", "klingon", "an encoding that Python knows"),
        ("input__delimiter", ";;", "at most 1 characters"),
        ("input__text_columns", [], "at least 1 entry"),
        ("input__prefix", "input", "a folder such as input/"),
        ("input__prefix", "/", "a folder such as input/"),
        ("input__prefix", "work/in/", "another folder than the pipeline's own work/"),
        ("input__prefix", "output/new/", "a folder apart from input.prefix ('output/new/')"),
        ("input__carry_columns", ["label"], "got 'label' in both"),
        ("input__max_bad_percent", 101, "expected 100 or less"),
        ("output__format", "xlsx", "one of 'csv' or 'jsonl'"),
        ("output__top_labels", 0, "expected 1 or more"),
        ("output__columns", {"label": "score"}, "five different names"),
        ("retention__work_days", 0, "expected 1 or more"),
        ("canary__file", "examples/nothing.csv", "expected a file of this repository"),
        ("model_package_group", "a_b", "letters, digits and hyphens"),
    ],
)
def test_what_is_wrong_is_named(repository: Path, key: str, value: object, words: str) -> None:
    found = problem(repository, **{key: value})
    assert found.startswith(f"{FILE}: ") and words in found, found


def test_a_bucket_s_name_that_s3_would_not_take_is_named(
    repository: Path, edit: Callable[[str, str, str], None]
) -> None:
    edit("config/project.yaml", 'slug: "survey-batch"', 'slug: "a-survey-of-a-whole-year"')
    with pytest.raises(ConfigError, match=r"slug: expected at most \d+ characters together with prefix"):
        load(repository)


def test_added_columns_follow_the_settings(settings: Settings) -> None:
    output = settings.transform.output.model_copy(update={"top_labels": 3})
    transform = settings.transform.model_copy(update={"output": output})
    assert transform.added_columns == [
        *("label", "score", "label_2", "score_2", "label_3", "score_3"),
        *("model_version", "error"),
    ]


def test_names_are_those_that_the_foundation_lets_deployments_have(settings: Settings) -> None:
    assert settings.data_bucket("production") == "mlops-survey-batch-production-222222222222-ca-central-1"
    assert settings.pipeline("staging") == "survey-batch-staging"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_the_settings_of_both_environments_are_told(repository: Path) -> None:
    lines = [str(finding) for finding in cli.findings(load(repository))]
    assert not [line for line in lines if line.startswith("PROBLEM")], lines
    (production,) = [line for line in lines if "production: s3://" in line]
    assert "3 x ml.m5d.xlarge, each with 4 request(s) of up to 6 MB" in production
    assert "one request for each part" in production
    assert lines[-1].startswith("note") and "no AWS credentials" in lines[-1]


def test_a_canary_that_the_pipeline_would_refuse_is_a_problem_with_advice(
    repository: Path, edit: Callable[[str, str, str], None]
) -> None:
    edit("config/transform.yaml", "text_columns: [comment]", "text_columns: [body]")
    found = [finding for finding in cli.findings(load(repository)) if finding.good is False]
    (problem,) = found
    assert "body" in problem.text and "canary.file" in problem.text


def test_what_is_not_enabled_is_said(repository: Path, edit: Callable[[str, str, str], None]) -> None:
    edit("config/transform.yaml", "staging:\n", "staging:\n  enabled: false\n")
    (staging,) = [finding for finding in cli.findings(load(repository)) if "staging: s3://" in finding.text]
    assert staging.good is None and "is taken down by the next deployment" in staging.text
