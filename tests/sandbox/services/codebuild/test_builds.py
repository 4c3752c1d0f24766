"""Builds: a real shell, in a fresh folder, with the role's keys."""

from __future__ import annotations

import io
import json
import os
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_workbench.sandbox import Sandbox
from tests.waiting import wait_for

ACCOUNT, REGION = "111111111111", "ca-central-1"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "codebuild.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
ENVIRONMENT = {
    "type": "LINUX_CONTAINER",
    "image": "aws/codebuild/standard:7.0",
    "computeType": "BUILD_GENERAL1_SMALL",
}


class Project:
    """A project with an inline buildspec, and its builds."""

    def __init__(self, sandbox: Sandbox, **given: Any) -> None:
        self.sandbox, self.client = sandbox, sandbox.client("codebuild")
        role = sandbox.client("iam").create_role(
            RoleName="build", AssumeRolePolicyDocument=json.dumps(TRUST)
        )["Role"]
        self.client.create_project(
            **{
                "name": "test",
                "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\n"},
                "artifacts": {"type": "NO_ARTIFACTS"},
                "environment": ENVIRONMENT,
                "serviceRole": role["Arn"],
            }
            | given
        )

    def run(self, buildspec: str, **given: Any) -> dict[str, Any]:
        id_ = self.client.start_build(projectName="test", buildspecOverride=buildspec, **given)["build"]["id"]
        return self.wait(id_)

    def wait(self, id_: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            return dict(self.client.batch_get_builds(ids=[id_])["builds"][0])

        wait_for(lambda: look()["buildComplete"], look)
        return look()

    def log(self, build: dict[str, Any]) -> str:
        path = self.sandbox.folder / "builds" / build["id"].replace(":", "/") / "log.txt"
        return path.read_text("utf-8")


@pytest.fixture
def project(sandbox: Sandbox) -> Project:
    return Project(sandbox)


def commands(**phases: list[str]) -> str:
    return json.dumps({"version": 0.2, "phases": {k: {"commands": v} for k, v in phases.items()}})


def statuses(build: dict[str, Any]) -> dict[str, str]:
    return {phase["phaseType"]: phase.get("phaseStatus", "") for phase in build["phases"]}


def test_variables_and_the_folder_carry_over_between_commands_and_phases(project: Project) -> None:
    build = project.run(
        commands(
            pre_build=["mkdir deep && cd deep", "NAME='two words'"],
            build=['echo "$NAME in $(basename "$PWD")"', "export OTHER=1", 'test "$OTHER" = 1'],
        )
    )
    assert build["buildStatus"] == "SUCCEEDED"
    assert "two words in deep" in project.log(build)


def test_a_failed_build_runs_post_build_with_build_succeeding_0_and_fails(project: Project) -> None:
    build = project.run(
        commands(build=["exit 3", "echo not reached"], post_build=["echo then $CODEBUILD_BUILD_SUCCEEDING"])
    )
    assert build["buildStatus"] == "FAILED"
    log = project.log(build)
    assert "then 0" in log and "not reached" not in log.replace("echo not reached", "")
    (phase,) = [phase for phase in build["phases"] if phase["phaseType"] == "BUILD"]
    assert phase["phaseStatus"] == "FAILED"
    assert phase["contexts"] == [
        {
            "statusCode": "COMMAND_EXECUTION_ERROR",
            "message": "Error while executing command: exit 3. Reason: exit status 3",
        }
    ]
    assert statuses(build)["POST_BUILD"] == "SUCCEEDED"


@pytest.mark.parametrize("phase", ["install", "pre_build"])
def test_nothing_follows_a_failed_phase_before_build(project: Project, phase: str) -> None:
    build = project.run(commands(**{phase: ["false"]}, build=["echo built"], post_build=["echo after"]))
    assert build["buildStatus"] == "FAILED"
    assert not {"BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"} & set(statuses(build))


def test_on_failure_says_whether_the_next_phase_runs_and_finally_runs_anyway(project: Project) -> None:
    spec = {
        "version": 0.2,
        "phases": {
            "pre_build": {"commands": ["false"], "finally": ["echo cleaned"], "on-failure": "CONTINUE"},
            "build": {"commands": ["false"], "on-failure": "ABORT"},
            "post_build": {"commands": ["echo after"]},
        },
    }
    build = project.run(json.dumps(spec))
    assert statuses(build)["BUILD"] == "FAILED" and "POST_BUILD" not in statuses(build)
    assert "\ncleaned" in project.log(build)


def test_parameters_and_secrets_are_resolved_and_masked(project: Project) -> None:
    project.sandbox.client("ssm").put_parameter(Name="/p", Value="parameter-value", Type="SecureString")
    project.sandbox.client("secretsmanager").create_secret(
        Name="folder/s", SecretString=json.dumps({"key": "secret-value"})
    )
    spec = {
        "version": 0.2,
        "env": {
            "parameter-store": {"P": "/p"},
            "secrets-manager": {"S": "folder/s:key"},
            "variables": {"V": 1},
            "exported-variables": ["V", "W"],
        },
        "phases": {"build": {"commands": ['echo "$P/$S"', 'test "$S" = secret-""value', "W=later"]}},
    }
    build = project.run(json.dumps(spec))
    assert build["buildStatus"] == "SUCCEEDED"
    assert "***/***" in project.log(build) and "secret-value" not in project.log(build)
    assert build["exportedEnvironmentVariables"] == [
        {"name": "V", "value": "1"},
        {"name": "W", "value": "later"},
    ]


def test_the_log_is_in_cloudwatch_under_the_projects_group(project: Project) -> None:
    build = project.run(commands(build=["echo to the cloud"]))
    assert build["logs"]["groupName"] == "/aws/codebuild/test"
    events = project.sandbox.client("logs").get_log_events(
        logGroupName=build["logs"]["groupName"], logStreamName=build["logs"]["streamName"]
    )["events"]
    assert "to the cloud" in [event["message"] for event in events]


def test_commands_have_the_roles_keys_and_nothing_of_the_callers_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "leaked")
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    monkeypatch.setenv("MLOPS_CONTAINER_PYTHON", "/stands/for/images")
    script = (
        "python -c \"import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])\" "
        '&& echo "<$MINE$https_proxy>" && echo "home=$HOME" && echo "images: $MLOPS_CONTAINER_PYTHON"'
    )
    build = project.run(commands(build=[script]))
    log = project.log(build)
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/build/" in log
    assert "\n<>" in log and f"home={os.environ['HOME']}\n" not in log
    assert "\nimages: /stands/for/images\n" in log  # what a build picks for a job has to fit there


def test_what_pip_installs_stays_in_the_build(project: Project) -> None:
    script = (
        "python - <<'END'\nimport sys, sysconfig, boto3\n"
        "assert sysconfig.get_path('purelib').startswith(sys.prefix) and '/builds/' in sys.prefix\n"
        "assert '/builds/' not in boto3.__file__\nEND"
    )
    build = project.run(commands(build=[script, "python -m pip install --no-index boto3 | grep already"]))
    assert build["buildStatus"] == "SUCCEEDED", project.log(build)


def test_an_s3_project_stores_what_the_buildspec_names(sandbox: Sandbox, bucket: Any) -> None:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("in/a.txt", "a")
        archive.writestr("in/b.log", "b")
    bucket.put("source.zip", body.getvalue())
    spec = {
        "version": 0.2,
        "phases": {"build": {"commands": ["cp in/a.txt in/c.txt"]}},
        "artifacts": {"files": ["**/*"], "base-directory": "in", "exclude-paths": ["*.log"]},
    }
    project = Project(
        sandbox,
        source={"type": "S3", "location": f"{bucket.name}/source.zip", "buildspec": json.dumps(spec)},
        artifacts={"type": "S3", "location": bucket.name, "name": "out.zip", "packaging": "ZIP"},
    )
    build = project.wait(project.client.start_build(projectName="test")["build"]["id"])
    assert build["buildStatus"] == "SUCCEEDED", project.log(build)
    with zipfile.ZipFile(io.BytesIO(bucket.get("out.zip"))) as archive:
        assert archive.namelist() == ["a.txt", "c.txt"]


def test_a_stopped_build_leaves_no_process(project: Project) -> None:
    id_ = project.client.start_build(
        projectName="test", buildspecOverride=commands(build=["sleep 3600 & echo pid $!; wait"])
    )["build"]["id"]
    path = project.sandbox.folder / "builds" / id_.replace(":", "/") / "log.txt"
    wait_for(lambda: path.is_file() and "\npid " in path.read_text())
    pid = int(path.read_text().rpartition("\npid ")[2].split()[0])
    project.client.stop_build(id=id_)
    build = project.wait(id_)
    assert (build["buildStatus"], statuses(build)["BUILD"]) == ("STOPPED", "STOPPED")
    assert not os.path.exists(f"/proc/{pid}")


def test_a_role_that_does_not_trust_codebuild_fails_the_build(sandbox: Sandbox) -> None:
    project = Project(sandbox)
    trust = json.dumps(TRUST).replace("codebuild", "lambda")
    sandbox.client("iam").update_assume_role_policy(RoleName="build", PolicyDocument=trust)
    build = project.run(commands(build=["true"]))
    assert statuses(build)["PROVISIONING"] == "FAILED"


def test_a_bad_buildspec_fails_download_source_with_its_place(project: Project) -> None:
    build = project.run("version: 0.2\nphases:\n  biuld:\n    commands: [true]\n")
    (phase,) = [phase for phase in build["phases"] if phase["phaseType"] == "DOWNLOAD_SOURCE"]
    assert phase["contexts"][0]["statusCode"] == "YAML_FILE_ERROR"
    assert "biuld: unknown key" in phase["contexts"][0]["message"]


def test_a_pipelines_project_starts_by_its_pipeline_only(sandbox: Sandbox) -> None:
    project = Project(sandbox, source={"type": "CODEPIPELINE"}, artifacts={"type": "CODEPIPELINE"})
    with pytest.raises(ClientError, match="must be invoked from CodePipeline"):
        project.client.start_build(projectName="test")


def test_builds_survive_the_sandbox_and_one_that_was_running_has_failed(tmp_path: Any, images: Any) -> None:
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        project = Project(sandbox)
        done = project.run(commands(build=["true"]))["id"]
        running = project.client.start_build(
            projectName="test", buildspecOverride=commands(build=["sleep 60"])
        )["build"]["id"]
    with Sandbox(tmp_path / "s", images, accounts=(ACCOUNT,), region=REGION) as sandbox:
        builds = sandbox.client("codebuild").batch_get_builds(ids=[done, running])["builds"]
        assert [build["buildStatus"] for build in builds] == ["SUCCEEDED", "STOPPED"]
        assert sandbox.client("codebuild").list_builds_for_project(projectName="test")["ids"] == [
            running,
            done,
        ]
