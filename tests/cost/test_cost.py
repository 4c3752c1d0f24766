"""`python -m mlops_workbench cost`: examples that were computed by hand, and what Terraform really makes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watching.count import CONFIDENCE, UNKNOWN, WORDS

from configuration import UserError
from mlops_workbench.cost import cli, fixed
from mlops_workbench.cost.estimate import Estimate, Quote, Table, as_data, estimate, in_words, prices
from mlops_workbench.cost.usage import (
    Item,
    Use,
    batches,
    endpoints,
    item,
    runs_a_month,
    training,
    trainings_a_month,
)

PACKAGES = {
    "model-build": "model_build",
    "serverless-inference": "serverless_inference",
    "batch-inference": "batch_inference",
}
MACHINE = {"instance_type": "ml.m5.xlarge", "volume_gb": 30}
MODEL = {
    "compute": {
        "preprocess": MACHINE,
        "train": {"instance_type": "ml.g5.xlarge", "volume_gb": 73, "instance_count": 2, "spot": True},
        "evaluate": MACHINE,
    },
    "schedule": None,
}
SERVED = {"enabled": True, "memory_mb": 3072, "provisioned_concurrency": None}
NO_PRICES = Table({}, {}, {})


def table(**usd: float) -> Table:
    """Prices in one Region; a key's dots are written as __."""
    quotes = {key.replace("__", "."): ("unit", [Quote(price, "x", "d", "s")]) for key, price in usd.items()}
    return Table(quotes, {}, {"s": "https://example.org"})


def of(items: list[Item], priced: Table) -> Estimate:
    return estimate("router", "model-build", "ca-central-1", items, priced, Use())


def quantity(items: list[Item], what: str, part: str = "") -> tuple[float, float]:
    found = [each for each in items if each.what.startswith(what) and each.part.endswith(part)]
    assert len(found) == 1, [each.what for each in items]
    return round(found[0].low, 6), round(found[0].high, 6)


def test_training_is_machine_hours_for_each_run() -> None:
    # 6 trainings of 30 minutes on 2 machines: 6 hours; 73 GB for 6 of a month's 730 hours: 0.6 GB-months
    items = training(MODEL, Use(trainings=6, train_minutes=30))
    assert quantity(items, "train: ml.g5.xlarge") == (6, 6)
    assert quantity(items, "train: disk") == (0.6, 0.6)
    # at 1.50 USD an hour and 0.10 USD a GB-month: 9.00 + 0.06
    found = of(
        [each for each in items if each.what.startswith("train")],
        table(sagemaker__training__ml__g5__xlarge=1.5, sagemaker__volume__training=0.1),
    )
    assert (round(found.low, 4), round(found.high, 4)) == (9.06, 9.06)
    assert "at most: spot costs less" in in_words(found, [])


def test_without_a_number_each_push_trains_and_so_does_the_schedule() -> None:
    assert trainings_a_month(None, Use(pushes=3)) == (3, "3 pushes")
    assert trainings_a_month("cron(0 6 1 * ? *)", Use(pushes=3))[0] == 4
    runs, how = trainings_a_month("cron(0 6 L * ? *)", Use(pushes=3))
    assert runs == 3 and "--trainings" in how


@pytest.mark.parametrize(
    ("expression", "runs"),
    [
        ("cron(0 6 1 * ? *)", 1),
        ("cron(0 6,18 1 JAN,JUL ? *)", 4 / 12),
        ("cron(0 6 ? * MON *)", 52 / 12),  # 2025 has 52 Mondays
        ("cron(0 6 ? * MON-FRI *)", 261 / 12),
        ("cron(0/15 * * * ? *)", 365 * 96 / 12),
        ("rate(7 days)", 730 / 24 / 7),
        ("rate(1 hour)", 730),
        ("cron(0 6 ? * 2#1 *)", None),
    ],
)
def test_a_schedule_s_runs_are_counted(expression: str, runs: float | None) -> None:
    assert runs_a_month(expression) == (None if runs is None else pytest.approx(runs))


def test_a_serverless_endpoint_is_seconds_of_answering_and_data() -> None:
    settings = {"staging": {**SERVED, "enabled": False}, "production": SERVED}
    items = endpoints(settings, Use(requests=1_000_000, request_ms=80, request_kb=5))
    # 1,000,000 x 0.08 s = 80,000 s; 1,000,000 x 5 kB = 5 GB
    assert quantity(items, "answering, 3072 MB") == (80_000, 80_000)
    assert quantity(items, "requests and answers") == (5, 5)
    assert len(items) == 2
    # at 0.00006 USD a second and 0.016 USD a GB: 4.80 + 0.08
    priced = table(sagemaker__serverless__3072=0.00006, sagemaker__serverless__data=0.016)
    assert round(of(items, priced).high, 4) == 4.88


def test_containers_kept_ready_are_a_range_from_the_fewest_to_the_most() -> None:
    kept = {"minimum": 1, "maximum": 3, "schedule": [{"minimum": 2, "maximum": 6}]}
    settings = {"staging": {**SERVED, "provisioned_concurrency": kept}, "production": SERVED}
    items = endpoints(settings, Use(staging_requests=1000, request_ms=100))
    # a month has 730 x 3600 = 2,628,000 s
    assert quantity(items, "kept ready") == (2_628_000, 15_768_000)
    assert [each.key for each in items][:1] == ["sagemaker.provisioned_duration.3072"]


def test_a_file_is_three_jobs_on_its_machines() -> None:
    environment = {
        "enabled": True,
        "transform": {"instance_type": "ml.m5.large", "instance_count": 3},
        "processing": {"instance_type": "ml.m5.large", "volume_gb": 30},
    }
    settings = {"staging": {**environment, "enabled": False}, "production": environment}
    items = batches(settings, Use(files=30, transform_minutes=10, processing_minutes=4))
    # 30 files x 3 machines x 10 min = 15 h; 30 files x 2 jobs x 4 min = 4 h; 30 GB x 4 h / 730 h
    assert quantity(items, "model: ml.m5.large") == (15, 15)
    assert quantity(items, "files: ml.m5.large") == (4, 4)
    assert quantity(items, "files: disk") == (round(120 / 730, 6), round(120 / 730, 6))


def test_the_minutes_of_a_file_follow_from_its_rows_in_production_alone() -> None:
    environment = {
        "enabled": True,
        "transform": {"instance_type": "ml.m5.xlarge", "instance_count": 4},
        "processing": {"instance_type": "ml.m5.large", "volume_gb": 30},
    }
    settings = {"staging": environment, "production": environment}
    use = Use(files=3, pushes=1, transform_minutes=6, rows=960_000, rows_per_second=200, start_minutes=5)
    staging, production = (each for each in batches(settings, use) if each.what.startswith("model"))
    assert staging.low == pytest.approx(1 * 4 * 6 / 60)
    # 960,000 rows of 4 machines with 200 rows/s each: 20 min, and 5 to start
    assert production.low == production.high == pytest.approx(3 * 4 * 25 / 60)
    assert production.how == "3 files x 25 min x 4 machines"


def test_rows_need_a_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "batch_inference").mkdir()
    for speed in ([], ["--rows-per-second", "0"]):
        assert cli.main(["--root", str(tmp_path), "--rows", "1000", *speed]) == 1
        assert "--rows: expected --rows-per-second beside it, above 0" in capsys.readouterr().err


def test_what_is_there_in_any_case_depends_on_the_project() -> None:
    project = {"kms_key_arn": None, "bitbucket": {"url": "https://bitbucket.example.org"}}
    config = {"staging": {"enabled": True, "watching": {}}, "production": {"enabled": False}}
    config["staging"]["watching"] = {"days": 7}
    items = fixed.items("serverless_inference", project, config, Use(labels=5, pushes=2, build_minutes=6))
    # alarms: 3 of the delivery, 6 of the endpoint, 3 of watching; metrics: 29 + 5 labels, 2 of the delivery
    assert quantity(items, "alarms") == (12, 12)
    assert quantity(items, "metrics of our own") == (2, 36)
    assert quantity(items, "key") == (1, 1)
    assert quantity(items, "CodeBuild") == (24, 24)  # 2 pushes x 2 builds x 6 min
    assert quantity(items, "CodePipeline") == (26, 26)  # and 1 min for the source of each
    own_key = {"kms_key_arn": "arn:…", "bitbucket": {"url": "https://bitbucket.org/team"}}
    items = fixed.items("model_build", own_key, {}, Use())
    assert quantity(items, "key") == (0, 0)
    assert not [each for each in items if "secret" in each.what or "metrics" in each.what]


def test_a_price_of_the_region_counts_before_others_and_one_s_own_before_all() -> None:
    quotes = [Quote(2.0, "eu-west-1", "2023", "s"), Quote(3.0, "us-east-1", "2024", "s")]
    found = Table({"a": ("hour", quotes)}, {}, {})
    assert found.price("a", "ca-central-1")[:2] == (2.0, 3.0)
    assert found.price("a", "us-east-1")[:2] == (3.0, 3.0)
    assert found._replace(own={"a": 5.0}).price("a", "us-east-1")[:2] == (5.0, 5.0)


def test_what_has_no_price_is_in_no_sum_and_says_what_to_fill_in() -> None:
    found = of([item("p", "a", "a", 2, ""), item("p", "b", "b.c", 4, "")], table(a=1.5))
    assert (found.low, found.high, [line.item.key for line in found.unknown]) == (3.0, 3.0, ["b.c"])
    said = in_words(found, [])
    assert "price unknown: fill in config/prices.yaml: b.c: USD for a unit" in said
    assert "without 1 line(s) whose price is unknown" in said
    assert of([item("p", "a", "a", 0, "")], NO_PRICES).unknown == []


def test_one_s_own_prices_are_read_and_what_is_no_price_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config/prices.yaml"
    file.write_text("kms.key: 2\nnew.thing: 0.5\n")
    assert prices(tmp_path).price("kms.key", "x")[:2] == (2.0, 2.0)
    assert prices(tmp_path).price("new.thing", "x")[:2] == (0.5, 0.5)
    file.write_text("kms.key: cheap\na: -1\nb: true\n")
    with pytest.raises(UserError) as error:
        prices(tmp_path)
    assert len(str(error.value).splitlines()) == 3
    assert "config/prices.yaml: kms.key: expected a price in USD, 0 or more, got 'cheap'" in str(error.value)


def test_every_price_has_a_unit_a_date_and_an_address_as_its_source() -> None:
    found = prices(Path("/nonexistent"))
    for key, (unit, quotes) in found.quotes.items():
        assert unit, key
        for quote in quotes:
            assert quote.usd > 0, key
            assert re.fullmatch(r"(read )?20\d\d-\d\d(-\d\d)?", quote.date), key
            assert re.fullmatch(r"[a-z]+-[a-z]+-\d|every", quote.region), key
            assert found.sources[quote.source].startswith("https://"), key
    assert set(found.sources) == {each.source for _, quotes in found.quotes.values() for each in quotes}


@pytest.mark.parametrize("template", PACKAGES)
def test_as_generated_every_price_is_known(
    template: str, generate: Callable[..., Path], tmp_path: Path
) -> None:
    repository = generate(tmp_path, directory=template)
    done = subprocess.run(
        [sys.executable, "-m", "mlops_workbench", "cost", "--json", "--pushes", "10"],
        cwd=repository,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["unknown"] == []
    assert found["month"]["high"] == pytest.approx(
        sum(line["usd"]["high"] for line in found["lines"]), abs=1e-3
    )
    assert 1 < found["month"]["low"] <= found["month"]["high"] < 100
    assert found["assumed"]["pushes"] == 10


def test_a_wrong_configuration_or_option_is_said_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--root", str(tmp_path)]) == 1
    assert "expected a generated repository" in capsys.readouterr().err
    (tmp_path / "model_build").mkdir()
    with pytest.raises(SystemExit):
        cli.main(["--root", str(tmp_path), "--pushes", "-1"])
    assert "expected a number, 0 or more, got '-1'" in capsys.readouterr().err


def test_data_say_what_each_line_is_made_of() -> None:
    priced = table(a=1.5)
    data = as_data(of([item("p", "a", "a", 2, "how")], priced), priced)
    assert data["month"] == {"low": 3.0, "high": 3.0}
    assert data["lines"][0]["sources"] == ["https://example.org"]
    assert data["lines"][0]["how"] == "how"


# What AWS bills by the month, and the folder in which Terraform makes it. A change here is one of fixed.py.
BILLED = re.compile(
    r'^resource "aws_(kms_key|cloudwatch_dashboard|cloudwatch_metric_alarm|secretsmanager_secret|codepipeline'
    r'|codebuild_project)" "(\w+)"',
    re.MULTILINE,
)
COMMON = [
    ("modules/key", "kms_key"),
    ("modules/undelivered", "cloudwatch_metric_alarm"),
    ("modules/build-project", "codebuild_project"),
]
RELEASED = [
    ("modules/promotion", "codepipeline"),
    ("modules/watching", "cloudwatch_metric_alarm"),  # drift
    ("modules/watching", "cloudwatch_metric_alarm"),  # errors of its functions
]
MADE = {
    "model-build": [*COMMON, ("delivery", "codepipeline")],
    "serverless-inference": [
        *COMMON,
        *RELEASED,
        ("delivery", "cloudwatch_metric_alarm"),
        ("endpoint", "cloudwatch_metric_alarm"),  # latency, concurrency, throttles
        ("endpoint", "cloudwatch_metric_alarm"),  # errors
        ("endpoint", "cloudwatch_dashboard"),
    ],
    "batch-inference": [
        *COMMON,
        *RELEASED,
        ("batch", "cloudwatch_metric_alarm"),
        ("batch", "cloudwatch_dashboard"),
    ],
}


@pytest.mark.parametrize("template", MADE)
def test_terraform_makes_what_the_estimate_counts(
    template: str, generate: Callable[..., Path], tmp_path: Path
) -> None:
    folder = generate(tmp_path, directory=template) / "terraform"
    found = [
        (file.parent.relative_to(folder).as_posix(), kind)
        for file in folder.rglob("*.tf")
        for kind, _ in BILLED.findall(file.read_text(encoding="utf-8"))
    ]
    assert sorted(found) == sorted(MADE[template])


def test_alarms_are_as_many_as_terraform_makes(collection: Path) -> None:
    def text(template: str, name: str) -> str:
        folder = collection / template / "{{cookiecutter.project_slug}}/terraform"
        return (folder / name).read_text(encoding="utf-8")

    of_an_endpoint = text("serverless-inference", "endpoint/alarms.tf")
    metrics = len(re.findall(r"^      metric +=", of_an_endpoint, re.MULTILINE))
    (in_one,) = re.findall(r"for_each = \{ (.*) \}$", of_an_endpoint, re.MULTILINE)
    assert metrics + in_one.count("=") == fixed.ENDPOINT_ALARMS
    of_delivery = text("serverless-inference", "delivery/main.tf")
    (environments,) = re.findall(r"for_each = toset\(\[(.*)\]\)", of_delivery)
    assert fixed.DELIVERY_ALARMS["serverless_inference"] == 1 + len(environments.split(","))
    functions = re.findall(
        r'for name in \["begin", "publish"\]', text("batch-inference", "batch/functions.tf")
    )
    assert len(functions) == 1 and fixed.BATCH_ALARMS == 2 + 1
    builds = {"model-build": 1, "serverless-inference": 2, "batch-inference": 2}
    for template, count in builds.items():
        specs = collection / template / "{{cookiecutter.project_slug}}/buildspecs"
        always = [path for path in specs.glob("*.yml") if path.stem != "serving-image"]  # lean's alone
        assert fixed.BUILDS[PACKAGES[template]] == count == len(always)


def test_metrics_are_as_many_as_watching_makes() -> None:
    bins = len(WORDS) + 1 + len(UNKNOWN) + 1 + len(CONFIDENCE) + 1
    texts, target, drift = 3, 2, 5
    assert texts + target + bins + drift == fixed.WATCHING_METRICS
