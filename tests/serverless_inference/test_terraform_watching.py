"""An endpoint whose answers are watched: from the containers' lines to an alarm, in the production account.

The model is small, and says what it answers by the very steps/serving/watch.py that a trained model carries;
its profile is made by steps/packing/profile.py of the sample emails. Roles are enforced.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mlops_workbench.sandbox import Sandbox
from mlops_workbench.sandbox.images import Images
from mlops_workbench.sandbox.services import events
from mlops_workbench.sandbox.services.cloudwatch.running import look
from mlops_workbench.sandbox.services.events.bus import fire
from tests.foundation.terraform_roots import may
from tests.serverless_inference.terraform_endpoint import Environment, make_environment
from tests.terraform_delivery import PRODUCTION, REGION
from tests.terraform_deployment import MODELS, Registry, open_registry, tar

pytestmark = pytest.mark.slow

STEPS = Path(__file__).resolve().parents[2] / "model-build/{{cookiecutter.project_slug}}/steps"
EMAILS = STEPS.parent / "data/emails.csv"
WATCHING = {"days": 7, "texts": 50, "drift": 0.2, "schedule": "cron(0 5 * * ? *)"}

# Answers with the first of its labels that the text names. Each line of a request is a text.
CLASSIFIER = """
import numpy as np
from serving import watch

LABELS = ["permit", "inspection", "invoice", "other"]

def scores(texts):
    found = np.full((len(texts), len(LABELS)), 0.02)
    for row, text in enumerate(texts):
        named = [label in text.lower() for label in LABELS[:3]]
        best = named.index(True) if any(named) else 3
        found[row, best] = 0.94 if sum(named) == 1 else 0.7
    return found

def answers(texts):
    probabilities = scores(texts)
    return watch.answered(probabilities, LABELS, "one", None, list(probabilities.max(axis=1) < 0.8))
"""
INFERENCE = """
import pathlib
import classifier
from serving import watch

def model_fn(model_dir):
    return watch.Vocabulary.read(pathlib.Path(model_dir))

def input_fn(data, content_type):
    return (data if isinstance(data, str) else data.decode()).splitlines()

def predict_fn(texts, vocabulary):
    found = classifier.answers(texts)
    watch.log(texts, {"subject": found}, vocabulary)
    return " ".join(each.labels[0] for each in found)

def output_fn(prediction, accept):
    return prediction
"""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """The sample emails, each on a line."""
    with EMAILS.open(encoding="utf-8", newline="") as file:
        return [" ".join(f"{row['subject']} {row['body']}".split()) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ModuleType]]:
    """The steps that ship in a model, and the classifier above, as modules."""
    folder = tmp_path_factory.mktemp("steps")
    (folder / "classifier.py").write_text(CLASSIFIER, encoding="utf-8")
    sys.path[:0] = [str(STEPS), str(folder)]
    before = set(sys.modules)
    yield importlib.import_module
    del sys.path[:2]
    for name in ("classifier", "packing", "packing.profile", "serving", "serving.watch"):
        if name not in before:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def profile(texts: list[str], steps: Callable[[str], ModuleType], tmp_path_factory: Any) -> Path:
    """The folder with a model's profile and vocabulary, of three quarters of the emails."""
    folder: Path = tmp_path_factory.mktemp("profile")
    train, validation = [each for n, each in enumerate(texts) if n % 4 < 2], texts[2::4]
    classify = steps("classifier").answers
    truth = {"subject": Counter(answer.labels[0] for answer in classify(train))}
    made = steps("packing.profile").make(train, truth, validation, {"subject": classify(validation)})
    steps("packing.profile").write(made, folder, folder / "output")
    return folder


@pytest.fixture(scope="module")
def registry(
    generate: Callable[..., Path],
    container_python: Path,
    profile: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Registry]:
    """Two accounts with enforced roles; version 1 has a profile beside it, version 2 has none."""
    with open_registry(generate, tmp_path_factory, Images.single(container_python)) as made:
        watch = (STEPS / "serving/watch.py").read_text(encoding="utf-8")
        code = {"serving/watch.py": watch, "classifier.py": CLASSIFIER}
        files = {f"code/{name}": text for name, text in {**code, "inference.py": INFERENCE}.items()}
        for _ in range(2):
            made.add({**files, "profile.json": (profile / "profile.json").read_text(encoding="utf-8")})
        _add_bytes(made.sandbox, 1, "vocabulary.bin", (profile / "vocabulary.bin").read_bytes())
        output = tar({"training.json": "{}", "profile.json": (profile / "profile.json").read_text("utf-8")})
        made.sandbox.client("s3").put_object(Bucket=MODELS, Key="models/run-1/output.tar.gz", Body=output)
        yield made


def _add_bytes(sandbox: Sandbox, version: int, name: str, content: bytes) -> None:
    """Add a file to a model's archive."""
    import gzip
    import tarfile

    s3, key = sandbox.client("s3"), f"models/run-{version}/model.tar.gz"
    archive = io.BytesIO(gzip.decompress(s3.get_object(Bucket=MODELS, Key=key)["Body"].read()))
    with tarfile.open(fileobj=archive, mode="a:") as opened:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        opened.addfile(entry, io.BytesIO(content))
    s3.put_object(Bucket=MODELS, Key=key, Body=gzip.compress(archive.getvalue()))


@pytest.fixture(scope="module")
def production(serving: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return make_environment("production", serving, tmp_path_factory.mktemp("production"), registry)


def deploy(here: Environment, version: int, **settings: Any) -> None:
    """Deploy as the build does, with the functions' code beside the record."""
    sys.path.insert(0, str(here.repository))
    try:
        record = importlib.import_module("serverless_inference.record")
        (here.repository / record.WATCHING_FILE).write_bytes(record.watching_code(here.repository))
    finally:
        sys.path.remove(str(here.repository))
    here.deploy(version, **{"watching": WATCHING, **settings})


def ask(here: Environment, texts: list[str], most: int = 40) -> None:
    """Ask about texts, and wait until what was answered is counted."""
    before = told(here, quiet=True).get("lately", {}).get("texts", 0)
    for start in range(0, len(texts), most):
        here.ask("\n".join(texts[start : start + most]))
    end = time.monotonic() + 60
    while told(here, quiet=True)["lately"]["texts"] < before + len(texts) and time.monotonic() < end:
        time.sleep(0.5)


def told(here: Environment, *, quiet: bool) -> dict[str, Any]:
    """What the function that compares answers."""
    answer = here.client("lambda").invoke(
        FunctionName="email-router-endpoint-drift-production", Payload=json.dumps({"quiet": quiet})
    )
    content = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, content
    return dict(content)


def scheduled(here: Environment) -> str:
    """Let the schedule's time come; the line that it leaves in the log."""
    rule = f"arn:aws:events:{REGION}:{PRODUCTION}:rule/email-router-endpoint-drift-production"
    before = len(log(here, "drift"))
    fire(rule)
    assert events.wait_idle(60)
    lines = [line for line in log(here, "drift")[before:] if "texts in" in line or "verdict" in line]
    return lines[-1]


def log(here: Environment, function: str) -> list[str]:
    """What a function has written, the oldest first."""
    group = f"/aws/lambda/email-router-endpoint-{function}-production"
    logs = here.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event["message"] for page in pages for event in page["events"]]


def state(here: Environment) -> str:
    """The state of the alarm."""
    look()
    name = f"{here.endpoint_name}-drift"
    (found,) = here.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found["StateValue"])


def test_answers_become_metrics_without_a_word_of_the_texts(
    production: Environment, texts: list[str]
) -> None:
    deploy(production, 1)
    ask(production, texts[7:127:4])
    found = told(production, quiet=True)
    assert found["lately"]["texts"] == 30
    labels = found["lately"]["targets"]["subject"]["labels"]
    assert sum(labels.values()) == 30 and set(labels) == {"permit", "inspection", "invoice", "other"}
    assert sum(found["lately"]["words"]) == sum(found["lately"]["unknown"]) == 30
    metrics = production.client("cloudwatch").list_metrics(Namespace="MLOps/Watching")["Metrics"]
    dimensions = {pair["Name"]: pair["Value"] for metric in metrics for pair in metric["Dimensions"]}
    assert (dimensions["Name"], dimensions["Version"]) == (production.endpoint_name, "1")
    written = " ".join([*log(production, "watch"), *log(production, "drift")]).lower()
    words = {
        word for text in texts[7:127:4] for word in text.lower().split() if len(word) > 6 and word.isalpha()
    }
    assert len(words) > 200
    assert [word for word in words if f'"{word}' in written or f" {word} " in written] in ([], ["inspection"])


def test_with_few_texts_there_is_no_verdict(production: Environment) -> None:
    line = scheduled(production)
    assert "30 texts in 7 days: no verdict, it takes 50 (watching.texts)" in line
    assert state(production) == "INSUFFICIENT_DATA"


def test_texts_like_those_of_training_raise_no_alarm(production: Environment, texts: list[str]) -> None:
    ask(production, texts[3::4])
    line = scheduled(production)
    assert "like the training data, nothing above 0.2" in line
    assert state(production) == "OK"


def test_other_texts_raise_the_alarm_and_the_line_says_which_figures(production: Environment) -> None:
    strange = [f"Bonjour madame, votre colis numero {n} est arrive hier soir" for n in range(150)]
    ask(production, strange)
    line = scheduled(production)
    assert "unlike the training data, above 0.2: " in line
    assert "unknown words" in line and "subject labels" in line
    assert state(production) == "ALARM"


def test_the_command_shows_what_was_answered_beside_the_training_data(production: Environment) -> None:
    command = [sys.executable, "-m", "serverless_inference", "watch", "--environment", "production"]
    environment = {**os.environ, **production.sandbox.environment(PRODUCTION)}
    done = subprocess.run(command, cwd=production.repository, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{production.endpoint_name}, version 1: ") and lines[0].endswith("in 7 days")
    assert lines[2].split() == ["lately", "training", "drift"]
    assert {"words", "unknown", "subject", "permit"} <= {line.split()[0] for line in lines[3:] if line}
    assert "unlike the training data" in lines[-1]


def test_a_model_without_a_profile_has_no_verdict_and_keeps_the_alarms_state(production: Environment) -> None:
    deploy(production, 2)
    line = scheduled(production)
    assert "version 2: no verdict: s3://" in line and "output.tar.gz" in line
    assert state(production) == "ALARM"


def test_the_functions_may_do_what_they_do_and_nothing_else(production: Environment) -> None:
    drift = production.service_role("email-router-endpoint-production-drift")
    watch = production.service_role("email-router-endpoint-production-watch")
    beside, other = f"arn:aws:s3:::{MODELS}/models/run-2", f"arn:aws:s3:::{MODELS}/models/run-1"
    assert may(drift, "s3:GetObject", f"{beside}/output.tar.gz")
    assert not may(drift, "s3:GetObject", f"{beside}/model.tar.gz")
    assert not may(drift, "s3:GetObject", f"{other}/output.tar.gz")
    assert may(drift, "cloudwatch:GetMetricData", "*")
    for role in (drift, watch):
        assert not may(role, "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "MLOps/Watching"})
        assert not may(role, "logs:FilterLogEvents", f"arn:aws:logs:{REGION}:{PRODUCTION}:log-group:*")
    assert not may(watch, "cloudwatch:GetMetricData", "*")
    assert not may(watch, "s3:GetObject", f"{beside}/output.tar.gz")


def test_the_dashboard_draws_the_metrics(production: Environment) -> None:
    client = production.client("cloudwatch")
    body = json.loads(client.get_dashboard(DashboardName="email-router-endpoint-production")["DashboardBody"])
    searches = [
        widget["properties"]["metrics"][0][0]["expression"]
        for widget in body["widgets"]
        if isinstance(widget["properties"].get("metrics", [[None]])[0][0], dict)
    ]
    assert len(searches) == 7 and all(f'Name="{production.endpoint_name}"' in each for each in searches)
    places = [(widget["x"], widget["y"]) for widget in body["widgets"]]
    assert len(set(places)) == len(places)


def test_without_watching_nothing_of_it_is_left(production: Environment) -> None:
    deploy(production, 2, watching=None)
    assert production.client("lambda").list_functions()["Functions"] == []
    names = [each["AlarmName"] for each in production.client("cloudwatch").describe_alarms()["MetricAlarms"]]
    assert not [name for name in names if "drift" in name or "watch" in name]
