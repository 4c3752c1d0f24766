"""A pipeline of a source, a build, an approval and a second build, and short ways to start and watch it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tests import waiting

ACCOUNT, REGION = "111111111111", "ca-central-1"
SOURCE, STORE, KEY = "source-bucket", "artifact-bucket", "repository/main.zip"
ENVIRONMENT = {
    "type": "LINUX_CONTAINER",
    "image": "aws/codebuild/standard:7.0",
    "computeType": "BUILD_GENERAL1_SMALL",
}
ENDED = ("Succeeded", "Failed", "Stopped", "Superseded")

Stage = dict[str, Any]


def action(category: str, provider: str, name: str, **more: Any) -> dict[str, Any]:
    """Declare an action; ``inputs`` and ``outputs`` are names of artifacts."""
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    declared = {"name": name, "actionTypeId": kind, **more}
    for here, there in (("inputs", "inputArtifacts"), ("outputs", "outputArtifacts")):
        declared[there] = [{"name": each} for each in declared.pop(here, [])]
    return declared


def source_stage() -> Stage:
    """Declare the stage that takes the archive."""
    configuration = {"S3Bucket": SOURCE, "S3ObjectKey": KEY, "PollForSourceChanges": "false"}
    return {
        "name": "Source",
        "actions": [
            action("Source", "S3", "Take", configuration=configuration, outputs=["code"], namespace="Taken")
        ],
    }


def build_stage(name: str, project: str, **more: Any) -> Stage:
    """Declare a stage with one build of a project; ``onFailure`` and ``beforeEntry`` are the stage's."""
    stage: Stage = {"name": name}
    for key in ("onFailure", "beforeEntry"):
        if key in more:
            stage[key] = more.pop(key)
    more.setdefault("inputs", ["code"])
    configuration = {"ProjectName": project, **more.pop("configuration", {})}
    stage["actions"] = [action("Build", "CodeBuild", "Build", configuration=configuration, **more)]
    return stage


def approval_stage(name: str = "Approve", **configuration: str) -> Stage:
    """Declare a stage in which a person is waited for."""
    return {"name": name, "actions": [action("Approval", "Manual", "Person", configuration=configuration)]}


def entry(result: str, variable: str, value: str, operator: str = "EQ") -> dict[str, Any]:
    """Declare a stage's entry condition of one rule."""
    return {"conditions": [{"result": result, "rules": [rule("Check", variable, value, operator)]}]}


def rule(name: str, variable: str, value: str, operator: str = "EQ") -> dict[str, Any]:
    """Declare a rule that compares a variable."""
    return {
        "name": name,
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
        "configuration": {"Variable": variable, "Value": value, "Operator": operator},
    }


@dataclass
class World:
    """Buckets, a key and roles; ``make`` makes the pipeline."""

    sandbox: Any  # a Sandbox, or an Organisation: both give clients
    name: str = "delivery"
    key: str = ""
    roles: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make what the pipeline stands on."""
        s3 = self.client("s3")
        for bucket in (SOURCE, STORE):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self.key = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        for service in ("codepipeline", "codebuild"):
            trust = {
                "Effect": "Allow",
                "Principal": {"Service": f"{service}.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
            made = self.client("iam").create_role(
                RoleName=service, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
            )
            self.roles[service] = made["Role"]["Arn"]
            self.allow(service, "*")

    def client(self, service: str) -> Any:
        """A client of the account's administrator."""
        return self.sandbox.client(service)

    def allow(self, role: str, *actions: str) -> None:
        """Let a role do this and nothing else."""
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client("iam").put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=policy)

    def project(self, name: str, *commands: str, **spec: Any) -> None:
        """Make a build project with these commands; ``spec`` is the rest of its buildspec."""
        document = {"version": 0.2, "phases": {"build": {"commands": list(commands)}}, **spec}
        self.client("codebuild").create_project(
            name=name,
            source={"type": "CODEPIPELINE", "buildspec": json.dumps(document)},
            artifacts={"type": "CODEPIPELINE"},
            environment=ENVIRONMENT,
            serviceRole=self.roles["codebuild"],
        )

    def put(self, **files: str) -> str:
        """Write a source archive; returns the object's version."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as zipped:
            for name, text in files.items():
                zipped.writestr(name, text)
        done = self.client("s3").put_object(Bucket=SOURCE, Key=KEY, Body=archive.getvalue())
        return str(done["VersionId"])

    def start_on_push(self) -> str:
        """Let each new source start the pipeline, as a generated repository's rule does; returns its ARN."""
        self.client("s3").put_bucket_notification_configuration(
            Bucket=SOURCE, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = self.client("iam").create_role(
            RoleName="starter", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
        )["Role"]["Arn"]
        self.allow("starter", "codepipeline:StartPipelineExecution")
        pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [KEY]}}}
        rule: str = self.client("events").put_rule(Name="pushed", EventPattern=json.dumps(pattern))["RuleArn"]
        arn = f"arn:aws:codepipeline:{REGION}:{ACCOUNT}:{self.name}"
        self.client("events").put_targets(Rule="pushed", Targets=[{"Id": "1", "Arn": arn, "RoleArn": role}])
        return rule

    def make(self, *stages: Stage, **more: Any) -> str:
        """Make the pipeline, which starts it; returns the id of that execution."""
        self.client("codepipeline").create_pipeline(pipeline=self.declaration(*stages, **more))
        return self.executions()[0]

    def declaration(self, *stages: Stage, **more: Any) -> dict[str, Any]:
        """The structure of a pipeline of type V2 with these stages after the source."""
        return {
            "name": self.name,
            "roleArn": self.roles["codepipeline"],
            "pipelineType": "V2",
            "artifactStore": {
                "type": "S3",
                "location": STORE,
                "encryptionKey": {"id": self.key, "type": "KMS"},
            },
            "stages": [source_stage(), *stages],
            **more,
        }

    def start(self) -> str:
        """Start it; returns the execution's id."""
        return str(
            self.client("codepipeline").start_pipeline_execution(name=self.name)["pipelineExecutionId"]
        )

    def executions(self) -> list[str]:
        """The ids of all executions, the newest first."""
        listed = self.client("codepipeline").list_pipeline_executions(pipelineName=self.name)
        return [each["pipelineExecutionId"] for each in listed["pipelineExecutionSummaries"]]

    def execution(self, id_: str) -> dict[str, Any]:
        """Describe an execution."""
        described: dict[str, Any] = self.client("codepipeline").get_pipeline_execution(
            pipelineName=self.name, pipelineExecutionId=id_
        )["pipelineExecution"]
        return described

    def end(self, id_: str) -> str:
        """Wait for an execution's end; returns its status."""
        return str(wait_for(lambda: self.execution(id_)["status"], lambda status: status in ENDED))

    def state(self, stage: str) -> dict[str, Any]:
        """What a stage's box on the pipeline's page shows."""
        found: list[dict[str, Any]] = self.client("codepipeline").get_pipeline_state(name=self.name)[
            "stageStates"
        ]
        return next(each for each in found if each["stageName"] == stage)

    def latest(self, stage: str) -> dict[str, Any]:
        """The latest run of a stage's only action."""
        latest: dict[str, Any] = self.state(stage)["actionStates"][0].get("latestExecution", {})
        return latest

    def token(self, stage: str = "Approve") -> str:
        """Wait until a person is waited for; returns the request's token."""
        return str(wait_for(lambda: self.latest(stage).get("token"), bool))

    def answer(self, status: str, token: str | None = None, summary: str = "because") -> None:
        """Approve or reject what waits in the stage Approve."""
        self.client("codepipeline").put_approval_result(
            pipelineName=self.name,
            stageName="Approve",
            actionName="Person",
            result={"status": status, "summary": summary},
            token=token or self.token(),
        )

    def actions(self, id_: str) -> list[dict[str, Any]]:
        """The attempts at actions of an execution, the oldest first."""
        listed = self.client("codepipeline").list_action_executions(
            pipelineName=self.name, filter={"pipelineExecutionId": id_}
        )
        found: list[dict[str, Any]] = listed["actionExecutionDetails"]
        return found[::-1]

    def artifact(self, place: dict[str, Any]) -> zipfile.ZipFile:
        """Open an artifact by its location in the answer of ListActionExecutions."""
        where = place["s3location"]
        body = self.client("s3").get_object(Bucket=where["bucket"], Key=where["key"])["Body"].read()
        return zipfile.ZipFile(io.BytesIO(body))


def wait_for(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    """Look until what is seen is good; returns it."""
    (seen,) = waiting.wait_for(lambda: [seen] if good(seen := look()) else [], look)
    return seen


def code_of(error: ClientError) -> str:
    """The service's name for an error."""
    return str(error.response["Error"]["Code"])
