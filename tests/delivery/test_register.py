"""`register` from nothing to a pipeline, again, and on from every failure; real git, TLS and Terraform."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("terraform")

Git = Callable[..., str]
Run = Callable[..., Any]

ACCOUNT, OTHER_ACCOUNT = "111111111111", "222222222222"
SOURCE_BUCKET = "mlops-source-111111111111-ca-central-1"
STATE_BUCKET = "mlops-terraform-state-111111111111-ca-central-1"
HOOK = "https://abc.execute-api.ca-central-1.amazonaws.com/bitbucket/email-router"


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Somebody sits at a terminal and types this."""
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda question: text)


def state(organisation: Any) -> list[str]:
    return [key for key in organisation.versions(STATE_BUCKET) if key.endswith(".tfstate")]


def changing_requests(bitbucket: Any) -> list[tuple[str, str]]:
    """Those of the REST API and pushes; git also reads with POST."""
    return [
        (method, path)
        for method, path in bitbucket.requests
        if ("/rest/" in path and method != "GET") or "git-receive-pack" in path
    ]


def nothing_is_made(organisation: Any, bitbucket: Any) -> bool:
    return (
        not state(organisation)
        and not organisation.versions(SOURCE_BUCKET)
        and not changing_requests(bitbucket)
        and not organisation.sandbox.client("secretsmanager").list_secrets()["SecretList"]
    )


@pytest.mark.slow
def test_from_nothing_to_a_pushed_commit_and_applied_terraform(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, git: Git
) -> None:
    done = delivery("register", "--yes")
    assert (done.status, done.err) == (0, ""), done
    made = bitbucket.repository("ML", "email-router")
    assert made.refs()["refs/heads/main"] == git(repository, "rev-parse", "HEAD")
    (webhook,) = made.webhooks.values()
    assert (webhook["url"], webhook["active"], webhook["events"]) == (HOOK, True, ["repo:refs_changed"])
    secret = organisation.secret()
    assert secret == {"secret": webhook["configuration"]["secret"], "project": "ML"}
    assert re.fullmatch("[0-9a-f]{64}", secret["secret"])
    assert state(organisation) == ["delivery/email-router.tfstate"]
    assert git(repository, "remote", "get-url", "origin") == made.clone_url
    assert "view?region=ca-central-1" in done.out.splitlines()[-1]


@pytest.mark.slow
def test_no_secret_is_printed_or_left_in_a_file(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    done = delivery("register", "--yes")
    assert done.status == 0
    files = b"".join(path.read_bytes() for path in repository.rglob("*") if path.is_file())
    for secret in (organisation.secret()["secret"], bitbucket.token):
        assert secret not in done.out + done.err
        assert secret.encode() not in files


@pytest.mark.slow
def test_a_second_time_it_changes_nothing(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    assert delivery("register", "--yes").status == 0
    secret, states = organisation.secret(), state(organisation)
    # what the foundation's bridge does with the push
    assert delivery("publish").status == 0
    bitbucket.requests.clear()
    again = delivery("register", "--yes")
    assert again.status == 0 and "nothing to change" in again.out
    assert [step for step in ("create repository", "webhook", "push", "publish ") if step in again.out] == []
    assert (organisation.secret(), state(organisation)) == (secret, states)
    assert changing_requests(bitbucket) == []


@pytest.mark.slow
def test_a_commit_that_bitbucket_had_before_its_webhook_is_published(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, git: Git
) -> None:
    organisation.set_parameter(webhook_url=None)
    first = delivery("register", "--yes")
    assert first.status == 0 and "webhook" not in first.out
    assert organisation.source()["Metadata"]["commit"] == git(repository, "rev-parse", "HEAD")
    assert bitbucket.repository("ML", "email-router").webhooks == {}
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "second")
    environment = {**bitbucket.git_environment()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        git(repository, "push", "--quiet", "origin", "main")
    organisation.set_parameter()
    assert delivery("register", "--yes").status == 0
    assert organisation.source()["Metadata"]["commit"] == git(repository, "rev-parse", "HEAD")


@pytest.mark.slow
def test_without_bitbucket_it_publishes_and_needs_no_token(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BITBUCKET_TOKEN")
    refused = delivery("register", "--yes")
    assert refused.status == 1
    assert "BITBUCKET_TOKEN is not set" in refused.err and "ARGS=--no-bitbucket" in refused.err
    assert delivery("register", "--yes", "--no-bitbucket").status == 0
    assert organisation.versions(SOURCE_BUCKET) == ["email-router/main.zip"]
    assert bitbucket.requests == []


@pytest.mark.slow
def test_each_failure_names_the_command_that_continues_and_it_does(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    terraform = repository / "terraform/delivery/main.tf"
    good = terraform.read_text()
    terraform.write_text(good + 'resource "terraform_data" "pipeline" {}\n')
    failed = delivery("register", "--yes")
    assert failed.status == 1
    assert "Step 4 failed: apply terraform/delivery" in failed.err
    assert failed.err.splitlines()[-1] == "  make register ARGS='--yes'"
    secret = organisation.secret()
    terraform.write_text(good)
    assert delivery("register", "--yes").status == 0
    assert organisation.secret() == secret
    assert len(bitbucket.repository("ML", "email-router").webhooks) == 1


@pytest.mark.slow
def test_a_webhook_whose_secret_is_lost_gets_a_new_one(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run
) -> None:
    assert delivery("register", "--yes").status == 0
    before = organisation.secret()
    organisation.sandbox.client("secretsmanager").delete_secret(
        SecretId="mlops/bitbucket/webhook/email-router", ForceDeleteWithoutRecovery=True
    )
    assert delivery("register", "--yes").status == 0
    (webhook,) = bitbucket.repository("ML", "email-router").webhooks.values()
    assert webhook["configuration"]["secret"] == organisation.secret()["secret"] != before["secret"]


@pytest.mark.slow
def test_terraform_does_not_see_bitbucket_s_token(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, tmp_path: Path
) -> None:
    with (repository / "terraform/delivery/main.tf").open("a") as file:
        file.write(
            'resource "terraform_data" "spy" {\n'
            f'  provisioner "local-exec" {{\n    command = "env > {tmp_path}/environment"\n  }}\n}}\n'
        )
    assert delivery("register", "--yes").status == 0
    seen = (tmp_path / "environment").read_text()
    assert "AWS_REGION=ca-central-1" in seen and bitbucket.token not in seen


def test_without_a_terminal_it_shows_the_plan_and_stops(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    done = delivery("register")
    assert done.status == 1
    planned = re.findall(r"^  \d\. (.*)$", done.out, re.MULTILINE)
    for words, begins in zip(
        planned,
        (
            "create repository",
            "make a webhook",
            f"push commit {git_head(repository)}",
            "apply terraform/delivery",
        ),
        strict=True,
    ):
        assert words.startswith(begins)
    assert "no terminal" in done.out and "MLOPS_REGISTER_YES=1" in done.out
    assert f"not AWS itself: AWS_ENDPOINT_URL leads to {organisation.sandbox.endpoint_url}" in done.out
    assert nothing_is_made(organisation, bitbucket)


def git_head(repository: Path) -> str:
    return (repository / ".git/refs/heads/main").read_text()[:8]


@pytest.mark.parametrize("typed", ["", "n", "no", "Y E S", "email-router"])
def test_anything_but_yes_changes_nothing(
    repository: Path,
    organisation: Any,
    bitbucket: Any,
    delivery: Run,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
) -> None:
    answer(monkeypatch, typed)
    assert delivery("register").status == 1
    assert nothing_is_made(organisation, bitbucket)


def test_another_account_s_credentials_are_named_before_anything_is_looked_at(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in organisation.sandbox.environment(OTHER_ACCOUNT).items():
        monkeypatch.setenv(name, value)
    done = delivery("register", "--yes")
    assert done.status == 1
    assert f"expected account {ACCOUNT}" in done.err and f"got account {OTHER_ACCOUNT}" in done.err
    assert nothing_is_made(organisation, bitbucket)


def test_a_missing_foundation_is_named_with_who_makes_it(
    repository: Path, sandbox: Any, bitbucket: Any, delivery: Run
) -> None:
    done = delivery("register", "--yes")
    assert done.status == 1
    assert "/mlops/foundation" in done.err and "platform engineer" in done.err


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "expected version 1, got 2"),
        ({"kms_key_arn": ""}, "expected kms_key_arn, got nothing"),
        ({"bitbucket_hosting": "cloud"}, "the foundation is for cloud"),
        ({"region": "us-east-1"}, "expected the foundation's, us-east-1"),
        ({"source_bucket": "another"}, "the foundation's is another"),
        ({"state_bucket": "mlops-gone"}, "state bucket mlops-gone is not there"),
    ],
)
def test_a_foundation_that_does_not_fit_is_said_so(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, changed: dict[str, object], words: str
) -> None:
    organisation.set_parameter(**changed)
    done = delivery("register", "--yes")
    assert done.status == 1 and words in done.err
    assert nothing_is_made(organisation, bitbucket)


def test_a_token_that_bitbucket_refuses_is_said_so(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITBUCKET_TOKEN", "expired")
    done = delivery("register", "--yes")
    assert done.status == 1
    assert "HTTP 401" in done.err and "wrong or has expired" in done.err
    assert nothing_is_made(organisation, bitbucket)


def test_another_branch_than_main_is_refused(
    repository: Path, organisation: Any, bitbucket: Any, delivery: Run, git: Git
) -> None:
    git(repository, "checkout", "--quiet", "-b", "mine")
    done = delivery("register", "--yes")
    assert done.status == 1 and "expected branch main" in done.err and "got mine" in done.err
