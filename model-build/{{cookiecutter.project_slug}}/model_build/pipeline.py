"""The pipeline on SageMaker, AWS's or the sandbox's: described, published, started, listed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from configuration import UserError

from . import assets, registry
from .aws import Clients, explained
from .config import ProjectConfig, Settings
from .definition import Build, build, steps_of

Say = Callable[[str], None]
INLINE_LIMIT = 1_048_576  # characters of a definition that CreatePipeline takes inline


def describe(settings: Settings) -> str:
    """The steps, their machines, the data and the conditions, as text, from the definition itself.

    Prices are left out: they change by region and date (`make cost` has them).
    """
    built = build(settings)
    project = settings.project
    account = project.accounts.shared_services
    lines = [
        f"pipeline       {project.pipeline_name} in {project.region}, account {account}",
        f"runs as        {project.role_arn}",
        f"reads          {built.parameters['InputDataUrl']}",
        f"answers        {_targets(settings)}",
        f"base model     {settings.model.model.base}",
        f"registers in   model package group {project.model_package_group}, pending a person's approval",
        "",
        "steps",
    ]
    for step in steps_of(built.definition):
        lines += [f"  {step['Name']:<15}{_machine(step, built.parameters)}".rstrip()]
    lines += ["", "parameters of a run (change one with --parameter NAME=VALUE)"]
    own = {name: value for name, value in built.parameters.items() if name not in registry.LIVE_PARAMETERS}
    lines += [f"  {name:<24}{value}" for name, value in own.items()]
    lines += ["", "uploads, by content (those that are there already are skipped)"]
    lines += [f"  {asset.name:<15}{len(asset.files)} file(s) -> {asset.uri}" for asset in built.uploads]
    return "\n".join(lines)


def _targets(settings: Settings) -> str:
    labels, triage = settings.model.data.labels, settings.model.triage
    found = []
    for name, target in labels.items():
        kind = f"any number of labels, separated by {target.between}" if target.several else "one label"
        precision = triage.of(name) if triage else None
        review = f", with review below {precision:.0%} precision" if precision is not None else ""
        found.append(f"{name} ({kind}{review})")
    return ", ".join(found)


def _machine(step: dict[str, Any], parameters: dict[str, str]) -> str:
    arguments = step["Arguments"]
    if step["Type"] == "Processing":
        machines, image = (
            arguments["ProcessingResources"]["ClusterConfig"],
            arguments["AppSpecification"]["ImageUri"],
        )
    elif step["Type"] == "Training":
        machines, image = arguments["ResourceConfig"], arguments["AlgorithmSpecification"]["TrainingImage"]
    elif step["Type"] == "Condition":
        return " and ".join(_condition(condition) for condition in arguments["Conditions"])
    elif step["Type"] == "Fail":
        return "else: the run fails with the figures"
    else:
        return "then: a model package"
    kind = machines["InstanceType"]
    if isinstance(kind, dict):
        kind = parameters[kind["Get"].removeprefix("Parameters.")]
    minutes = arguments["StoppingCondition"]["MaxRuntimeInSeconds"] // 60
    spot = ", spot" if arguments.get("EnableManagedSpotTraining") else ""
    return f"{machines['InstanceCount']} x {kind}{spot}, at most {minutes} min, {image.rsplit('/', 1)[-1]}"


def _condition(condition: dict[str, Any]) -> str:
    place = condition["LeftValue"]["Std:JsonGet"]["Path"].split(".")
    path = place[-2] if place[-1] == "value" else place[-1]
    if place[0] == "targets":
        path = f"{place[1]}.{path}"
    sign = {"GreaterThanOrEqualTo": ">=", "LessThanOrEqualTo": "<="}[condition["Type"]]
    return f"{path} {sign} {json.dumps(condition['RightValue'])}"


def key_arn(project: ProjectConfig, kms: Any) -> str | None:
    """The key for volumes and outputs: the configured one, else that of terraform/delivery, else none.

    Without a key of one's own, another account can be let into the bucket but cannot decrypt the models.

    Raises:
        UserError: the service does not say, for example for want of permission.
    """
    if project.kms_key_arn:
        return project.kms_key_arn
    with explained(f"KMS key {project.key_alias}"):
        try:
            return str(kms.describe_key(KeyId=project.key_alias)["KeyMetadata"]["Arn"])
        except kms.exceptions.NotFoundException:
            return None


def start(
    settings: Settings,
    given: Sequence[str],
    clients: Clients,
    say: Say,
    python_of: Callable[[str], Path] | None = None,
) -> str:
    """Publish the pipeline and start it; returns the execution's ARN.

    Args:
        settings: of the repository.
        given: parameters of this run, each NAME=VALUE.
        clients: for SageMaker and S3.
        say: is told what happens.
        python_of: finds the interpreter that stands for an image, where one does.

    Raises:
        UserError: a parameter is not one of the pipeline's, or the service refused.
    """
    project = settings.project
    built = build(settings, python_of=python_of, say=say)
    chosen = _chosen(given, built.parameters)
    _publish(built, project, clients, say)
    live = registry.live(project, clients.sagemaker)
    beside = "none yet, no version is approved" if live is None else f"version {live.number}"
    say(f"compares with the live model: {beside}")
    parameters = {**registry.live_parameters(live, clients.s3), **chosen}
    with explained(f"pipeline {project.pipeline_name}"):
        answer = clients.sagemaker.start_pipeline_execution(
            PipelineName=project.pipeline_name,
            PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
        )
    return str(answer["PipelineExecutionArn"])


def _chosen(given: Sequence[str], known: dict[str, str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or name not in known:
            raise UserError(f"--parameter {item}: expected NAME=VALUE with NAME one of {', '.join(known)}")
        chosen[name] = value
    return chosen


def _publish(built: Build, project: ProjectConfig, clients: Clients, say: Say) -> None:
    """Upload what the definition refers to, then create or update the pipeline."""
    if len(built.definition) > INLINE_LIMIT:
        raise UserError(f"the definition has {len(built.definition)} characters, more than {INLINE_LIMIT}")
    assets.upload(built.uploads, clients.s3, project.kms_key_arn, say)
    request = {
        "PipelineName": project.pipeline_name,
        "PipelineDefinition": built.definition,
        "PipelineDescription": f"{project.name}: train, evaluate and register",
        "RoleArn": project.role_arn,
    }
    tags = [{"Key": key, "Value": value} for key, value in {"project": project.slug, **project.tags}.items()]
    # A token made of the content: repeating the call after a lost answer does not create a second pipeline.
    token = hashlib.sha256(built.definition.encode()).hexdigest()
    sagemaker = clients.sagemaker
    with explained(f"pipeline {project.pipeline_name}"):
        try:
            sagemaker.describe_pipeline(PipelineName=project.pipeline_name)
        except sagemaker.exceptions.ResourceNotFound:
            sagemaker.create_pipeline(**request, ClientRequestToken=token, Tags=tags)
        else:
            sagemaker.update_pipeline(**request)


def status(project: ProjectConfig, sagemaker: Any, most: int) -> list[str]:
    """Lines about the latest runs and model versions, at most so many of each, newest first.

    Raises:
        UserError: the service refused.
    """
    runs = _executions(project, sagemaker, most)
    lines = [f"pipeline {project.pipeline_name}" + ("" if runs else ": no runs yet")]
    for run in runs:
        name, reason = (
            run["PipelineExecutionArn"].rsplit("/", 1)[-1],
            run.get("PipelineExecutionFailureReason"),
        )
        state = f"{run['PipelineExecutionStatus']:<10}  {name}" + (f"  {reason}" if reason else "")
        lines.append(f"  {run['StartTime']:%Y-%m-%d %H:%M}  {state}")
    packages = registry.model_packages(project, sagemaker, most)
    live = next(iter(registry.approved(project, sagemaker)), None)
    lines.append(
        f"model package group {project.model_package_group}" + ("" if packages else ": no versions yet")
    )
    for package in packages:
        version = registry.describe(sagemaker, package["ModelPackageArn"])  # who decided, is in no list
        mark = "  <- live" if version.number == live else ""
        said = version.decision or version.status
        lines.append(f"  {version.created:%Y-%m-%d %H:%M}  version {version.number:<4}  {said}{mark}")
    return lines


def _executions(project: ProjectConfig, sagemaker: Any, most: int) -> list[dict[str, Any]]:
    with explained(f"pipeline {project.pipeline_name}"):
        try:
            answer = sagemaker.list_pipeline_executions(
                PipelineName=project.pipeline_name,
                SortBy="CreationTime",
                SortOrder="Descending",
                MaxResults=most,
            )
        except sagemaker.exceptions.ResourceNotFound:
            return []
    return list(answer["PipelineExecutionSummaries"])
