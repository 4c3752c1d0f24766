"""Problems in the configuration come as one line each: file, key, expected, got."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import botocore.session
import pytest

from configuration import ConfigError
from serverless_inference.config import (
    ENDPOINT_FILE,
    SCHEMA_FILE,
    Environment,
    ProvisionedConcurrency,
    json_schema,
    load,
)

ROOT = Path(__file__).parents[1]
PROJECT = "config/project.yaml"
Edit = Callable[[str, str, str], None]

# the first occurrence is staging's
NO_WARM = "provisioned_concurrency: null"
WARM = "provisioned_concurrency: {minimum: 1, maximum: 3, schedule: ["
MORNING = (
    '{name: morning, cron: "cron(0 7 ? * MON-FRI *)", timezone: America/Toronto, minimum: 2, maximum: 3}'
)


def problems(repository: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(repository)
    return caught.value.problems


def test_the_configuration_of_this_repository_is_valid() -> None:
    assert load(ROOT).endpoint.smoke_test.requests


def test_names_accounts_and_the_smoke_test_of_an_environment_have_defaults(repository: Path) -> None:
    settings = load(repository)
    slug = settings.project.slug
    assert settings.endpoint_name("staging") == f"{slug}-staging"
    assert settings.endpoint_name("production") == f"{slug}-production"
    assert settings.account("staging") == settings.project.accounts.shared_services
    assert settings.account("production") == settings.project.accounts.production
    assert settings.smoke_test("production").requests == settings.endpoint.smoke_test.requests


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("memory_mb: 3072", "memory_mb: 3000", "staging.memory_mb: expected one of 1024, 2048, 3072, 4096,"),
        ("memory_mb: 3072", "memory: 3072", "staging.memory: unknown key; did you mean memory_mb?"),
        (
            "max_concurrency: 5",
            "max_concurrency: 0",
            "staging.max_concurrency: expected 1 or more, got 0",
        ),
        (
            "max_concurrency: 5",
            "max_concurrency: 201",
            "staging.max_concurrency: expected 200 or less, got 201",
        ),
        (
            "endpoint_name: null",
            "endpoint_name: under_score",
            "staging.endpoint_name: expected letters, digits and hyphens, beginning and ending with a letter "
            'or digit, or null, got "under_score"',
        ),
        (
            "endpoint_name: null",
            f"endpoint_name: {'x' * 64}",
            "staging.endpoint_name: expected at most 63 characters, got",
        ),
        ("enabled: true", "enabled: perhaps", 'staging.enabled: expected true or false, got "perhaps"'),
        (
            "error_percent: 1",
            "error_percent: 101",
            "staging.alarms.error_percent: expected 100 or less, got 101",
        ),
        (
            "latency_p95_ms: 2000",
            "latency_p95: 2",
            "staging.alarms.latency_p95: unknown key; did you mean latency_p95_ms?",
        ),
        (
            NO_WARM,
            "provisioned_concurrency: {minimum: 1, maximum: 6}",
            "staging.provisioned_concurrency.maximum: expected at most max_concurrency (5), got 6",
        ),
        (
            NO_WARM,
            "provisioned_concurrency: {minimum: 3, maximum: 2}",
            "staging.provisioned_concurrency.maximum: expected at least minimum (3), got 2",
        ),
        (
            NO_WARM,
            "provisioned_concurrency: {minimum: 1, maximum: 2, target: 0.5}",
            "staging.provisioned_concurrency.target: unknown key; did you mean target_utilization?",
        ),
        (
            NO_WARM,
            f"{WARM}{MORNING}, {MORNING}]}}",
            "staging.provisioned_concurrency.schedule: expected each name once, got 'morning' twice",
        ),
        (
            NO_WARM,
            f"{WARM}{MORNING.replace('maximum: 3', 'maximum: 9')}]}}",
            "staging.provisioned_concurrency.schedule.0.maximum: expected at most max_concurrency (5), got 9",
        ),
        (
            NO_WARM,
            f"{WARM}{MORNING.replace('cron(0 7 ? * MON-FRI *)', '0 7 * * MON-FRI')}]}}",
            "staging.provisioned_concurrency.schedule.0.cron: expected cron(minutes hours day month weekday "
            'year), such as cron(0 7 ? * MON-FRI *), got "0 7 * * MON-FRI"',
        ),
        (
            NO_WARM,
            f"{WARM}{MORNING.replace('7 ? *', '7 * *')}]}}",
            "staging.provisioned_concurrency.schedule.0.cron: expected ? as either the third field",
        ),
        (
            NO_WARM,
            f"{WARM}{MORNING.replace('America/Toronto', 'Toronto')}]}}",
            "staging.provisioned_concurrency.schedule.0.timezone: expected a time zone of the IANA list, "
            'such as America/Toronto or Etc/UTC, got "Toronto"',
        ),
        (
            NO_WARM,
            f"{WARM}{MORNING.replace('timezone', 'time_zone')}]}}",
            "staging.provisioned_concurrency.schedule.0.time_zone: unknown key; did you mean timezone?",
        ),
        ("environment: {}", "environment: {DEBUG: 1}", "staging.environment.DEBUG: expected text, got 1"),
        (
            "environment: {}",
            'environment: {2ND: "x"}',
            "staging.environment.2ND: expected a name of letters, digits and underscores that does not begin",
        ),
        (
            "environment: {}",
            f'environment: {{A: "{"x" * 1025}"}}',
            "staging.environment.A: expected at most 1024 characters, got 1025",
        ),
        (
            "environment: {}",
            'environment: {SAGEMAKER_PROGRAM: "other.py"}',
            "staging.environment.SAGEMAKER_PROGRAM: expected another variable: this one is the container's",
        ),
        (
            "environment: {}",
            'environment: {CRM_API_KEY: "x"}',
            "staging.environment.CRM_API_KEY: expected no secret,",
        ),
        (
            "label: billing",
            "label:",
            "smoke_test.requests.0.label: expected a label, or one for each target such as",
        ),
        (
            "minimum_score: 0.6",
            "minimum_score: 50",
            "smoke_test.requests.0.minimum_score: expected 1 or less, got 50",
        ),
        (
            "minimum_score: 0.6",
            "min_score: 0.5",
            "smoke_test.requests.0.min_score: unknown key; did you mean minimum_score?",
        ),
        (
            'subject: "Invoice"',
            "subject: 3",
            "smoke_test.requests.0.text: expected a text, or columns with texts such as {subject: …, body:",
        ),
        ("latency_ms: 1000", "latency_ms: 70000", "smoke_test.latency_ms: expected 60000 or less, got 70000"),
    ],
)
def test_a_mistake_in_endpoint_yaml_is_named_with_its_key(
    repository: Path, edit: Edit, old: str, new: str, problem: str
) -> None:
    edit(ENDPOINT_FILE, old, new)
    (found,) = problems(repository)
    assert found.startswith(f"{ENDPOINT_FILE}: {problem}"), found


@pytest.mark.parametrize("name", ["DB_PASSWORD", "HF_TOKEN", "client_secret", "KEY", "AWS_CREDENTIALS_FILE"])
def test_a_secret_or_a_credential_is_not_a_variable(repository: Path, edit: Edit, name: str) -> None:
    edit(ENDPOINT_FILE, "environment: {}", f'environment: {{{name}: "x"}}')
    assert f"staging.environment.{name}: expected" in problems(repository)[0]


def test_ordinary_variables_and_the_arn_of_a_secret_are_taken(repository: Path, edit: Edit) -> None:
    variables = {
        "LOG_LEVEL": "debug",
        "CRM_SECRET_ARN": "arn:aws:secretsmanager:ca-central-1:111111111111:secret:crm",
        "TOKENIZERS_PARALLELISM": "false",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
    }
    edit(ENDPOINT_FILE, "environment: {}", f"environment: {json.dumps(variables)}")
    assert load(repository).environment("staging").environment == variables


def test_ready_containers_with_a_schedule_arrive_as_terraform_reads_them(
    repository: Path, edit: Edit
) -> None:
    edit(ENDPOINT_FILE, NO_WARM, f"{WARM}{MORNING}]}}")
    kept = load(repository).environment("staging").model_dump(mode="json")["provisioned_concurrency"]
    assert kept["target_utilization"] == 0.7
    assert kept["schedule"] == [
        {
            "name": "morning",
            "cron": "cron(0 7 ? * MON-FRI *)",
            "timezone": "America/Toronto",
            "minimum": 2,
            "maximum": 3,
        }
    ]


def test_the_example_in_the_comments_of_the_file_is_valid_itself(repository: Path) -> None:
    text = (ROOT / ENDPOINT_FILE).read_text(encoding="utf-8")
    if "  # provisioned_concurrency:" not in text:
        pytest.skip(f"{ENDPOINT_FILE} has no example any more")
    before, production = text.split("\nproduction:")
    production = re.sub(r"(?m)^  provisioned_concurrency:.*\n", "", production)
    shown = re.sub(r"(?m)^  # (?=provisioned_concurrency:|  )", "  ", production)
    (repository / ENDPOINT_FILE).write_text(f"{before}\nproduction:{shown}", encoding="utf-8")
    kept = load(repository).environment("production").provisioned_concurrency
    assert kept is not None and [each.name for each in kept.schedule] == ["morning", "evening"]


def test_one_environment_may_have_a_smoke_test_of_its_own(repository: Path, edit: Edit) -> None:
    edit(
        ENDPOINT_FILE,
        "smoke_test: null",
        "smoke_test: {latency_ms: 5, requests: [{text: hello, label: general}]}",
    )
    settings = load(repository)
    assert settings.smoke_test("staging").latency_ms == 5
    assert settings.smoke_test("production").latency_ms == 1000


def test_all_problems_of_both_files_come_at_once(repository: Path, edit: Edit) -> None:
    edit(ENDPOINT_FILE, "max_concurrency: 5", "max_concurrency: many")
    edit(ENDPOINT_FILE, "cold_start_ms: 30000", "cold_start_ms: -1")
    edit(PROJECT, "region:", "regoin:")
    found = problems(repository)
    assert len(found) == 4  # region is missing, regoin is unknown
    assert {line.split(":")[0] for line in found} == {ENDPOINT_FILE, PROJECT}


@pytest.mark.parametrize("name", ["both", "BOTH"])
def test_two_endpoints_of_one_name_need_two_accounts(repository: Path, name: str) -> None:
    path = repository / ENDPOINT_FILE
    text = path.read_text(encoding="utf-8").replace("endpoint_name: null", "endpoint_name: both", 1)
    path.write_text(text.replace("endpoint_name: null", f"endpoint_name: {name}", 1), encoding="utf-8")
    project = repository / PROJECT
    lines = project.read_text(encoding="utf-8")
    two = re.sub(r'(?m)^  production: "\d+"', '  production: "999999999999"', lines)
    project.write_text(two, encoding="utf-8")
    assert load(repository).endpoint_name("production") == name
    shared = load(repository).project.accounts.shared_services
    project.write_text(two.replace("999999999999", shared), encoding="utf-8")
    (problem,) = problems(repository)
    assert problem == (
        f"{ENDPOINT_FILE}: production.endpoint_name: expected another name than staging's, because both are "
        f'in account {shared}, got "{name}"'
    )


@pytest.mark.parametrize("slug", ["deployments", "reports"])
def test_a_slug_that_is_a_folder_of_the_bucket_is_refused(repository: Path, slug: str) -> None:
    path = repository / PROJECT
    text = re.sub(r"(?m)^slug: \S+", f"slug: {slug}", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    assert "expected another name than the bucket's folders" in problems(repository)[0]


def test_the_limits_are_those_of_the_service() -> None:
    """A newer botocore with other limits makes this fail, and then config.py is to follow."""
    service = botocore.session.get_session().get_service_model("sagemaker")
    memory = service.shape_for("ServerlessMemorySizeInMB").metadata
    concurrency = service.shape_for("ServerlessMaxConcurrency").metadata
    schema = Environment.model_json_schema()["properties"]
    assert (schema["memory_mb"]["enum"][0], schema["memory_mb"]["enum"][-1]) == (memory["min"], memory["max"])
    found = schema["max_concurrency"]
    assert (found["minimum"], found["maximum"]) == (concurrency["min"], concurrency["max"])
    kept = ProvisionedConcurrency.model_json_schema()["properties"]["minimum"]
    provisioned = service.shape_for("ServerlessProvisionedConcurrency").metadata
    assert (kept["minimum"], kept["maximum"]) == (provisioned["min"], provisioned["max"])
    variables = service.shape_for("EnvironmentMap")
    assert variables.metadata["max"] == 100 and variables.value.metadata["max"] == 1024


def test_the_schema_for_editors_is_up_to_date_and_describes_every_key(repository: Path) -> None:
    assert (repository / SCHEMA_FILE).read_text(encoding="utf-8") == json_schema(), "run `make schema`"
    schema = json.loads(json_schema())
    for part in (schema, *schema["$defs"].values()):
        for key, value in part["properties"].items():
            assert value.get("description"), f"{part['title']}.{key}"
