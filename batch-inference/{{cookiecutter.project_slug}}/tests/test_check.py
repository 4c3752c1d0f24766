"""What `check` says before a push, without AWS."""

from collections.abc import Callable
from pathlib import Path

import pytest

from batch_inference import check
from batch_inference.load import load


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_the_settings_of_both_environments_are_told(repository: Path) -> None:
    lines = [str(finding) for finding in check.check(load(repository))]
    assert not [line for line in lines if line.startswith("PROBLEM")], lines
    (production,) = [line for line in lines if "production: s3://" in line]
    assert "3 x ml.m5d.xlarge, each with 4 request(s) of up to 6 MB" in production
    assert "one request for each part" in production
    assert lines[-1].startswith("note") and "no AWS credentials" in lines[-1]


def test_a_canary_that_the_pipeline_would_refuse_is_a_problem_with_advice(
    repository: Path, edit: Callable[[str, str, str], None]
) -> None:
    edit("config/transform.yaml", "text_columns: [comment]", "text_columns: [body]")
    found = [finding for finding in check.check(load(repository)) if finding.good is False]
    (problem,) = found
    assert "body" in problem.text and "canary.file" in problem.text


def test_what_is_not_enabled_is_said(repository: Path, edit: Callable[[str, str, str], None]) -> None:
    edit("config/transform.yaml", "staging:\n", "staging:\n  enabled: false\n")
    (staging,) = [finding for finding in check.check(load(repository)) if "staging: s3://" in finding.text]
    assert staging.good is None and "is taken down by the next deployment" in staging.text
