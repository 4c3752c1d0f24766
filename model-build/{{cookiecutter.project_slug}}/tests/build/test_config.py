"""Problems in the configuration come as one line each: file, key, expected, got."""

import re

import pytest

from configuration import ConfigError
from model_build import requests
from model_build.config import ProjectConfig
from model_build.load import SCHEMA_FILE, json_schema, load

MODEL = "config/model.yaml"
PROJECT = "config/project.yaml"


def problems(repository) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(repository)
    return caught.value.problems


def test_the_configuration_of_this_repository_is_valid(repository):
    settings = load(repository)
    assert settings.model.data.text_columns
    assert settings.project.role_arn.startswith("arn:aws")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("epochs: 8 ", "epochs: three", 'training.epochs: expected a whole number, got "three"'),
        ("epochs: 8 ", "epochs: 0", "training.epochs: expected 1 or more, got 0"),
        ("epochs: 8 ", "epoch: 20", "training.epoch: unknown key; did you mean epochs?"),
        (
            "data:\n",
            "zzz: 1\ndata:\n",
            "zzz: unknown key; expected one of data, split, model, training, compute, triage, acceptance, "
            "comparison, serving, card, schedule",
        ),
        ("train: 0.7", "train: 0.9", "split.train + validation + test: expected 1, got 1.2"),
        (
            "encoding: utf-8",
            "encoding: utf-9",
            "data.encoding: expected a text encoding that Python knows, such as utf-8, utf-16 or "
            'windows-1252, got "utf-9"',
        ),
        ("[subject, body]", "[]", "data.text_columns: expected at least 1 entry, got []"),
        (
            "[subject, body]",
            "[service_line]",
            "data.label_column: expected a column that is not a text column, got 'service_line'",
        ),
        (
            "accuracy: {at_least: 0.70}",
            "accuracy: {at_least: 0.7, at_most: 1}",
            'acceptance.accuracy: expected one of at_least or at_most, got {"at_least": 0.7, "at_most": 1}',
        ),
        (
            "schedule: null",
            "schedule: monthly",
            "schedule: expected cron(minutes hours day month weekday year) or rate(7 days), or "
            'null, got "monthly"',
        ),
        (
            "ml.g5.xlarge",
            "g5.xlarge",
            'compute.train.instance_type: expected an instance type such as ml.m5.xlarge, got "g5.xlarge"',
        ),
        (
            "max_wait_minutes: 480",
            "max_wait_minutes: 4",
            "compute.train.max_wait_minutes: expected at least max_runtime_minutes (240), got 4",
        ),
        (
            "test_source: null",
            "test_source: t.csv",
            "split.test: expected 0 because data.test_source is set, got 0.2",
        ),
        ("source: data/emails.csv", "source:", "data.source: expected text, got null"),
    ],
)
def test_a_mistake_in_model_yaml_is_named_with_its_key(repository, edit, old, new, problem):
    edit(MODEL, old, new)
    assert problems(repository) == [f"{MODEL}: {problem}"]


def test_several_targets_have_their_own_columns_and_bounds(two_targets, edit):
    edit(MODEL, "triage: null", "triage: {precision: 0.95, targets: {topics: {precision: 0.8}}}")
    model = load(two_targets).model
    assert {name: target.between for name, target in model.data.labels.items()} == {
        "sentiment": None,
        "topics": ";",
    }
    assert model.thresholds["topics"]["hamming_loss"].at_most == 0.2
    written = model.model_dump(mode="json", warnings="error")
    assert written["acceptance"]["sentiment"]["macro_f1"] == {"at_least": 0.6, "at_most": None}
    assert model.triage is not None
    assert [model.triage.of(name) for name in model.data.labels] == [0.95, 0.8]
    assert requests.triage_precisions(model) == "sentiment=0.95,topics=0.8"
    command = requests.preprocess_arguments(model)
    at = command.index("--target")
    assert command[at : at + 6] == [
        *("--target", "sentiment=sentiment"),
        *("--target", "topics=topics"),
        *("--separator", "topics=;"),
    ]
    assert "--label-column" not in command
    command = requests.evaluate_arguments(model, "title")
    assert command[command.index("--at-most") + 1] == "topics.hamming_loss=0.2"


def test_one_target_is_named_as_its_column(repository):
    model = load(repository).model
    assert list(model.data.labels) == list(model.thresholds) == ["service_line"]
    assert "accuracy" in requests.thresholds(model)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "  targets:\n",
            "  label_column: team\n  targets:\n",
            "data.targets: expected either label_column or",
        ),
        (
            "column: topics, several: true}",
            "column: sentiment, several: true}",
            "data.targets.topics.column: expected another column than targets.sentiment's, got 'sentiment'",
        ),
        (
            "column: topics, several: true}",
            "column: body, several: true}",
            "data.targets.topics.column: expected a column that is not a text column, got 'body'",
        ),
        (
            "column: topics, several: true}",
            "colum: topics, several: true}",
            "data.targets.topics.colum: unknown key; did you mean column?",
        ),
        (
            "    topics: {column: topics, several: true}",
            "    Topics: {column: topics, several: true}",
            "data.targets.Topics: expected names of small letters, digits and _, such as sentiment",
        ),
        (
            "{column: sentiment}",
            '{column: sentiment, separator: ","}',
            "data.targets.sentiment.separator: expected only with several: true, got ','",
        ),
        (
            "topics: {micro_f1",
            "themes: {micro_f1",
            "acceptance.themes: expected a target of data (sentiment, topics), got 'themes'",
        ),
        ("  topics: {micro_f1", "  #", "acceptance.topics: expected metrics of this target, found none"),
        (
            "topics: {micro_f1",
            "topics: {accuracy",
            "acceptance.topics.accuracy: expected a metric of several labels (micro_f1, macro_f1,",
        ),
        (
            "accuracy: {at_least",
            "accuracy: {atleast",
            "acceptance.sentiment.accuracy.atleast: unknown key; did you mean at_least?",
        ),
        (
            "  sentiment: {accuracy: {at_least: 0.7}, macro_f1: {at_least: 0.6}}\n"
            "  topics: {micro_f1: {at_least: 0.5}, hamming_loss: {at_most: 0.2}}\n",
            "  accuracy: {at_least: 0.7}\n",
            "acceptance: expected for each target of data",
        ),
        ("triage: null", "triage: {precision: 95}", "triage.precision: expected less than 1, got 95"),
        (
            "triage: null",
            "triage: {targets: {mood: {precision: 0.9}}}",
            "triage.targets.mood: expected a target of data (sentiment, topics), got 'mood'",
        ),
    ],
)
def test_a_mistake_in_several_targets_is_named_with_its_key(two_targets, edit, old, new, problem):
    edit(MODEL, old, new)
    assert any(found.startswith(f"{MODEL}: {problem}") for found in problems(two_targets))


def test_labels_have_to_be_somewhere(repository, edit):
    edit(MODEL, "label_column: service_line", "")
    assert problems(repository) == [
        f"{MODEL}: data.label_column: expected the column of the labels, or data.targets for several; "
        "found neither"
    ]


def test_bounds_of_targets_need_targets(repository, edit):
    edit(MODEL, "accuracy: {at_least: 0.70}", "team: {accuracy: {at_least: 0.70}}")
    edit(MODEL, "macro_f1: {at_least: 0.65}", "")
    edit(MODEL, "expected_calibration_error: {at_most: 0.25}", "")
    assert problems(repository) == [
        f"{MODEL}: acceptance: expected metrics, as data.label_column is the one target; got targets (team)"
    ]


def test_all_problems_of_both_files_come_at_once(repository, edit):
    edit(MODEL, "epochs: 8 ", "epochs: many")
    edit(MODEL, "batch_size: 16", "batch_size: -1")
    edit(PROJECT, "region:", "regoin:")
    found = problems(repository)
    assert len(found) == 4  # region is missing, regoin is unknown
    assert {line.split(":")[0] for line in found} == {MODEL, PROJECT}
    assert any("did you mean region?" in line for line in found)


def test_a_key_given_twice_is_refused(repository, edit):
    edit(MODEL, "join: blank_line", "join: blank_line\n  join: space")
    assert "join: expected this key once, got it twice" in problems(repository)[0]


def test_broken_yaml_names_line_and_column(repository, edit):
    edit(MODEL, "data:\n", "data: [:\n")
    assert problems(repository)[0].startswith(f"{MODEL}: line ")


def test_a_missing_file_says_where_it_was_looked_for(repository):
    (repository / MODEL).unlink()
    assert problems(repository) == [
        f"{MODEL}: expected this file in {repository}, found none; run this in the repository's top folder"
    ]


def test_an_account_id_without_quotes_is_explained(repository, edit):
    text = (repository / PROJECT).read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if "shared_services:" in line)
    edit(PROJECT, line, "  shared_services: 123456789012")
    (problem,) = problems(repository)
    assert problem.startswith(f"{PROJECT}: accounts.shared_services: expected an AWS account id: 12 digits")
    assert problem.endswith("in quotes, got 123456789012")


def test_the_role_is_in_the_partition_of_the_region(repository):
    project = load(repository).project
    moved = ProjectConfig.model_validate({**project.model_dump(), "region": "us-gov-west-1"})
    assert moved.role_arn.startswith("arn:aws-us-gov:iam::")


def test_the_schema_for_editors_is_up_to_date(repository):
    assert (repository / SCHEMA_FILE).read_text(encoding="utf-8") == json_schema(), (
        "run `python -m model_build schema`"
    )


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("slug", "models", "another name than the bucket's folders"),
        ("prefix", "x" * 17, "prefix: expected"),
        ("prefix", "Upper", "prefix: expected lower-case letters"),
    ],
)
def test_names_that_would_clash_or_not_fit_in_aws_are_refused(repository, key, value, problem):
    path = repository / PROJECT
    text = re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    assert problem in problems(repository)[0]
