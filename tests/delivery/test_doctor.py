"""`python -m mlops_workbench doctor`: in the sandbox, without a network, and with nothing installed."""

import ast
import hashlib
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from bitbucket_data_center import BitbucketDataCenter
from botocore.exceptions import ClientError

from mlops_workbench import __version__
from mlops_workbench.delivery.project import Project, load
from mlops_workbench.doctor import cli, credentials, looking, machine, network, organisation, programs
from mlops_workbench.doctor.looking import (
    PROBLEM,
    Finding,
    Part,
    as_data,
    from_data,
    in_words,
    note,
    ok,
    problem,
)
from mlops_workbench.doctor.repository import configuration, package, workbench
from tests.delivery.conftest import (
    ACCOUNT,
    OTHER_ACCOUNT,
    REGION,
    SLUG,
    SOURCE_BUCKET,
    Organisation,
    enter_account,
    project_document,
)
from tests.waiting import FOREVER, wait_for

COLLECTION = Path(__file__).resolve().parents[2]
WORKBENCH = COLLECTION / "shared/workbench/src/mlops_workbench"
NO_TOKEN = "BITBUCKET_TOKEN"


@pytest.fixture
def repository(tmp_path: Path, git: Callable[..., str]) -> Path:
    """A repository with one commit and config/project.yaml."""
    folder = tmp_path / "repository"
    (folder / "config").mkdir(parents=True)
    document = project_document("https://bitbucket.example.org")
    (folder / "config/project.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Something")
    return folder


@pytest.fixture
def project(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """What config/project.yaml says; nobody has a token for Bitbucket."""
    monkeypatch.delenv(NO_TOKEN, raising=False)
    return load(repository)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def states(findings: list[Finding], about: str) -> list[str]:
    return [finding.state for finding in findings if finding.text.startswith(about)]


def one(findings: list[Finding], about: str) -> Finding:
    found = [finding for finding in findings if finding.text.startswith(about)]
    assert len(found) == 1, findings
    return found[0]


def looked(project: Project) -> list[Finding]:
    caller = credentials.look(project)
    assert caller.session is not None, caller.findings
    return organisation.look(project, caller.session)


def run_in(
    repository: Path, python: Path | str, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    away = {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    away["PYTHONPATH"] = str(WORKBENCH.parent)  # instead of the wheel, which is made of it
    return subprocess.run(
        [str(python), "-m", "mlops_workbench", "doctor", *arguments],
        cwd=repository,
        env={**kept, **away, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_with_nothing_installed_it_says_what_to_install(generated: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", symlinks=os.name != "nt")
    done = run_in(generated, tmp_path / "bare/bin/python")
    assert "Traceback" not in done.stdout + done.stderr
    assert "boto3 and PyYAML, by which AWS is asked, are not installed yet" in done.stdout
    assert "-> make setup-delivery, then: make doctor" in done.stdout
    assert "-> make setup, then: make check" in done.stdout
    assert (done.returncode == 1) is ("PROBLEM" in done.stdout)


def test_in_a_generated_repository_it_runs_the_repository_s_own_check(generated: Path) -> None:
    done = run_in(generated, sys.executable, "--json")
    found = json.loads(done.stdout)
    texts = [each["text"] for each in found["findings"] if each["part"] == "configuration"]
    assert "config/project.yaml and config/model.yaml are valid" in texts
    assert done.returncode == (1 if found["problems"] else 0), done.stdout
    assert {each["part"] for each in found["findings"]} == {
        "machine",
        "network",
        "environments",
        "configuration",
        "credentials",
    }


def test_a_mistake_in_the_configuration_is_a_problem_with_its_place(
    generate: Callable[..., Path], tmp_path: Path
) -> None:
    repository = generate(tmp_path)
    file = repository / "config/model.yaml"
    file.write_text(file.read_text().replace("epochs: 8 ", "epochs: many "))
    findings = configuration(repository, with_aws=False)
    wrong = [finding for finding in findings if finding.state == PROBLEM]
    assert [finding.text for finding in wrong] == [
        'config/model.yaml: training.epochs: expected a whole number, got "many"'
    ]


def test_the_wheel_is_the_one_that_is_named_or_a_problem(
    generate: Callable[..., Path], tmp_path: Path
) -> None:
    repository = generate(tmp_path)
    (wheel,) = (repository / "wheels").iterdir()
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    good = workbench(repository)
    assert good.state == "ok" and good.fix is None
    assert good.text.startswith(f"workbench {__version__}: wheels/{wheel.name}, SHA-256 {digest}")

    wheel.write_bytes(content[:-1] + b"!")
    other = hashlib.sha256(wheel.read_bytes()).hexdigest()
    changed = workbench(repository)
    assert changed.state == PROBLEM and f"expected SHA-256 {digest}" in changed.text
    assert changed.text.endswith(f"got {other}")
    wheel.write_bytes(content)

    second = wheel.with_name("mlops_workbench-9.9.9-py3-none-any.whl")
    second.write_bytes(content)
    assert workbench(repository).text.endswith(f"got {wheel.name}, {second.name}")
    second.unlink()
    wheel.unlink()
    missing = workbench(repository)
    assert missing.state == PROBLEM and missing.text.endswith("got none")
    assert missing.fix == "git checkout HEAD -- wheels requirements/workbench.txt"
    (repository / "requirements/workbench.txt").write_text("# nothing\n")
    assert "to name a wheel and its SHA-256, got none" in workbench(repository).text


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("model-build", "model_build"),
        ("serverless-inference", "serverless_inference"),
        ("batch-inference", "batch_inference"),
    ],
)
def test_each_template_s_check_is_found(collection: Path, template: str, name: str) -> None:
    root = collection / template / "{{cookiecutter.project_slug}}"
    assert package(root) == name
    assert "\ndoctor:  ## " in (root / "Makefile").read_text(encoding="utf-8")


def test_a_whole_foundation_is_in_order(organisation: Organisation, project: Project) -> None:
    found = looked(project)
    assert not [finding for finding in found if finding.state == PROBLEM and "webhook" not in finding.text]
    assert states(found, f"source bucket: {SOURCE_BUCKET} answers") == ["ok"]
    assert one(found, f"pipeline {SLUG}").fix == "make register"
    assert one(found, "Bitbucket: not asked").state == "note"


def test_without_a_foundation_it_says_who_makes_one(sandbox: object, project: Project) -> None:
    (finding,) = looked(project)
    assert finding.state == PROBLEM
    assert finding.text.startswith("foundation: expected the parameter /mlops/foundation in ca-central-1")
    assert finding.fix is not None and "foundation/README.md" in finding.fix


def test_a_foundation_of_another_version_or_with_other_values_is_a_problem(
    organisation: Organisation, project: Project
) -> None:
    organisation.set_parameter(production_account_id="333333333333")
    wrong = one(looked(project), "config/project.yaml: accounts.production")
    assert (wrong.state, OTHER_ACCOUNT in wrong.text) == (PROBLEM, True)
    organisation.set_parameter(version=2)
    (finding,) = looked(project)
    assert finding.state == PROBLEM and "expected version 1, got 2" in finding.text


def test_what_is_missing_or_broken_is_named_one_by_one(organisation: Organisation, project: Project) -> None:
    s3, kms = organisation.sandbox.client("s3"), organisation.sandbox.client("kms")
    s3.put_bucket_versioning(Bucket=SOURCE_BUCKET, VersioningConfiguration={"Status": "Suspended"})
    organisation.set_parameter(state_bucket="nobody-has-made-it")
    parameter = organisation.sandbox.client("ssm").get_parameter(Name="/mlops/foundation")
    arn = json.loads(parameter["Parameter"]["Value"])["kms_key_arn"]
    kms.disable_key(KeyId=arn.rpartition("/")[2])
    found = looked(project)
    assert one(found, "source bucket").text.endswith("keeps no versions")
    assert one(found, "state bucket nobody-has-made-it").text.endswith(
        "expected it to be there, found nothing"
    )
    assert "expected it to be Enabled, got Disabled" in one(found, "key").text


def test_bitbucket_is_asked_by_whoever_has_a_token(
    organisation: Organisation, repository: Path, bitbucket: BitbucketDataCenter
) -> None:
    file = repository / "config/project.yaml"
    file.write_text(yaml.safe_dump(project_document(bitbucket.url)), encoding="utf-8")
    finding = one(looked(load(repository)), "Bitbucket")
    assert (finding.state, finding.text) == ("note", "Bitbucket: no repository yet")


def test_credentials_of_another_account_are_a_problem_that_names_both(
    organisation: Organisation, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_account(organisation.sandbox, monkeypatch, OTHER_ACCOUNT)
    found = one(credentials.look(project).findings, "credentials")
    assert found.state == "note" and "production" in found.text  # known, and of use elsewhere
    other = project._replace(shared_services="333333333333", root=Path("/nonexistent"))
    found = one(credentials.look(other).findings, "credentials")
    assert found.state == PROBLEM
    assert OTHER_ACCOUNT in found.text and "expected 333333333333" in found.text


def test_credentials_that_aws_does_not_take_are_a_problem(project: Project) -> None:
    for code in ("ExpiredToken", "InvalidClientTokenId"):
        finding = credentials.refused(
            ClientError({"Error": {"Code": code, "Message": "no"}}, "GetCallerIdentity")
        )
        assert finding.state == PROBLEM and "expired or unknown to AWS" in finding.text
        assert finding.fix is not None and "aws sso login" in finding.fix
    skewed = credentials.refused(
        ClientError({"Error": {"Code": "SignatureDoesNotMatch"}}, "GetCallerIdentity")
    )
    assert skewed.fix is not None and "a wrong clock" in skewed.fix


def test_no_credentials_are_a_note_and_a_profile_that_is_not_there_a_problem(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert one(credentials.look(project).findings, "credentials: found none").state == "note"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    found = one(credentials.look(project).findings, "credentials")
    assert (found.state, "nobody" in found.text) == (PROBLEM, True)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert "config/project.yaml's, ca-central-1" in one(credentials.look(project).findings, "region").text


def test_who_does_not_answer_is_said(
    repository: Path, silent: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(network, "package_index", lambda: silent)
    monkeypatch.setattr(network, "project_value", lambda *_: None)  # Bitbucket is not asked
    monkeypatch.setattr(programs, "findings", lambda _: [])
    monkeypatch.setattr(cli, "AWS_SECONDS", 6 * FOREVER)  # what ends is each question by itself
    assert cli.main(["--root", str(repository)]) == 1
    said = capsys.readouterr().out
    assert f"note     AWS: {silent} was not reached" in said
    assert "PROBLEM  credentials: the sandbox does not answer" in said


def test_no_question_waits_for_an_answer_for_more_than_five_seconds(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in (network.SECONDS, looking.SECONDS):
        assert limit <= 5
    assert inspect.signature(looking.within).parameters["seconds"].default == looking.SECONDS
    assert inspect.signature(looking.Later.result).parameters["seconds"].default == looking.SECONDS
    config = credentials.Quick(REGION).client("sts").meta.config
    assert max(config.connect_timeout, config.read_timeout) <= 5
    assert config.retries["total_max_attempts"] == 1
    # and the limit is kept: this server would never answer
    monkeypatch.setattr(network, "SECONDS", 0.1)
    assert network.ask(silent).problem == "timed out"
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        looking.within(threading.Event().wait, 0.1)


def test_nobody_is_waited_for_before_the_next_is_asked(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_have_asked = threading.Barrier(3)

    class Patient(BaseHTTPRequestHandler):
        """Answers nobody before AWS, the package index and Bitbucket have been asked."""

        def do_GET(self) -> None:
            all_have_asked.wait(FOREVER)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Patient) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("TF_CLI_CONFIG_FILE", os.devnull)  # plug-ins are somewhere else
        monkeypatch.setattr(network, "package_index", lambda: address)
        monkeypatch.setattr(network, "project_value", lambda *_: address)
        monkeypatch.setattr(network, "SECONDS", FOREVER)
        monkeypatch.setattr(programs, "findings", lambda _: [])
        monkeypatch.setattr(cli, "_aws", lambda _: [])
        cli.main(["--root", str(repository)])
        wait_for(lambda: all_have_asked.n_waiting == 0)
        server.shutdown()
    assert not all_have_asked.broken


def test_a_clock_that_aws_would_refuse_is_a_problem(repository: Path) -> None:
    assert machine.clock(1000, 1299, repository).state == "ok"
    behind, ahead = machine.clock(1000, 1301, repository), machine.clock(1601, 1000, repository)
    assert "5 minutes behind AWS's" in behind.text and "10 minutes ahead of AWS's" in ahead.text
    assert (behind.state, ahead.state) == (PROBLEM, PROBLEM)
    assert machine.clock(time.time(), None, repository).state == "note"
    assert machine.clock(0, None, repository).text == "clock: 1970-01-01 00:00 UTC, before the newest commit"


def test_carriage_returns_in_git_are_a_problem_but_not_in_data(
    repository: Path, git: Callable[..., str]
) -> None:
    (repository / ".gitattributes").write_text("* text=auto eol=lf\ndata/** -text\n")
    (repository / "data").mkdir()
    (repository / "data/emails.csv").write_bytes(b"a,b\r\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "Data")
    assert states(machine.findings(repository), "line endings") == ["ok"]
    (repository / "tool.sh").write_bytes(b"echo\r\n")
    git(repository, "-c", "core.autocrlf=false", "add", "tool.sh")
    assert (
        "CRLF in this folder, though not in git: tool.sh"
        in one(machine.findings(repository), "line endings").text
    )
    (repository / ".gitattributes").write_text("data/** -text\n")
    git(repository, "rm", "--quiet", "--force", "--cached", "tool.sh")
    git(repository, "-c", "core.autocrlf=false", "add", "tool.sh")
    assert one(machine.findings(repository), "line endings").state == PROBLEM


def test_proxies_are_shown_without_passwords_and_the_sandbox_must_be_exempt() -> None:
    proxied = {"HTTPS_PROXY": "http://me:secret@proxy.example.org:3128"}
    shown, exempt = network.settings(proxied)
    assert shown.text == "proxy: HTTPS_PROXY=http://proxy.example.org:3128"
    assert exempt.state == "note"
    local = {**proxied, "AWS_ENDPOINT_URL": "http://127.0.0.1:5000"}
    assert network.settings(local)[1].state == PROBLEM
    assert len(network.settings({**local, "no_proxy": "localhost, 127.0.0.1"})) == 1


def test_certificates_that_cannot_be_read_are_a_problem_that_names_the_variable(tmp_path: Path) -> None:
    (finding,) = network.settings({"AWS_CA_BUNDLE": "/nowhere.pem"})
    assert (finding.state, finding.fix) == (PROBLEM, "unset AWS_CA_BUNDLE")
    (tmp_path / "ca.pem").write_text("not certificates")
    (finding,) = network.settings({"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    assert finding.state == PROBLEM and "expected certificates in PEM format" in finding.text


@pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")
def test_programs_that_are_too_old_or_broken_are_problems(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program(name: str, script: str) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    program("git", "echo git version 2.17.1")
    program("terraform", """echo '{"terraform_version": "1.5.7"}'""")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    found = programs.findings(repository)
    assert one(found, "git").text == "git: expected 2.31 or newer, got 2.17"
    assert one(found, "Terraform").text == "Terraform: expected 1.10 or newer, got 1.5.7"
    monkeypatch.setenv("PATH", "/nonexistent")
    found = programs.findings(repository)
    assert one(found, "git").text == "git: not found"
    assert one(found, "Terraform").state == "note"


def test_the_exit_status_and_json_say_how_many_problems_there_are() -> None:
    parts = [Part("machine", [ok("a"), note("b", "c")]), Part("network", [problem("d", "e")])]
    assert as_data(parts)["problems"] == 1
    assert [part.title for part in from_data(as_data(parts))] == ["machine", "network"]
    assert in_words(from_data(as_data(parts))) == in_words(parts)
    assert in_words(parts).splitlines()[-1] == "1 problem was found."
    assert in_words(parts[:1]).splitlines()[-1] == "No problem was found."


def test_it_is_in_old_python_s_syntax_and_imports_nothing_that_only_some_systems_have() -> None:
    missing_somewhere = {"fcntl", "grp", "posix", "pwd", "resource", "signal", "termios", "msvcrt"}
    configuration = COLLECTION / "shared/parts/everywhere/configuration"
    files = [WORKBENCH / "__main__.py", *(WORKBENCH / "doctor").glob("*.py"), *configuration.glob("[ce]*.py")]
    assert {"__main__.py", "cli.py", "command_line.py", "__init__.py"} <= {file.name for file in files}
    for file in files:
        names = {
            alias.name
            for each in ast.walk(ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 8)))
            if isinstance(each, ast.Import)
            for alias in each.names
        }
        assert not names & missing_somewhere, file.name


def test_it_says_what_is_needed_where_there_is_no_project_file(tmp_path: Path) -> None:
    assert cli.main(["--aws", "--root", str(tmp_path)]) == 1
    assert [finding.state for finding in configuration(tmp_path, with_aws=False)] == [PROBLEM]
    assert (ACCOUNT, REGION) == ("111111111111", "ca-central-1")
