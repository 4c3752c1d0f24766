"""From an answer back to what made it: version, commit, data, training job, pipeline execution, who approved.

Everything is read from where the pipeline left it: the model package, its data report and evaluation in S3,
and SageMaker's records of the execution and the job. What is gone or may not be read is said so, the rest
is shown.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from configuration import UserError

from . import aws, registry
from .aws import Clients, explained
from .config import Settings
from .registry import WORDS, Version

ENDPOINT = "endpoint:"
_COLUMN = (
    "model_version"  # what batch inference adds to its results, if config/transform.yaml does not rename it
)


def trace(settings: Settings, clients: Clients, subject: str | None) -> dict[str, Any]:
    """What is known about where a version comes from.

    Args:
        settings: of the repository.
        clients: for the registry, SageMaker's records and S3.
        subject: a version's number, a model package's ARN, `endpoint:NAME`, or a file that carries a
            version; the live version if None.

    Raises:
        UserError: it leads to no version of this group.
    """
    version = _version(settings, clients.sagemaker, subject)
    described, metadata = version.described, version.metadata
    properties = described.get("MetadataProperties", {})
    report_uri = metadata.get("data_report_uri", "")
    return {
        "asked": subject or "the live version",
        "version": {
            "number": version.number,
            "group": described["ModelPackageGroupName"],
            "arn": version.arn,
            "status": version.status,
            "decision": version.decision,
            "registered": version.created.isoformat(),
            "model": version.container.get("ModelDataUrl", ""),
            "image": version.container["Image"],
        },
        "source": {
            "commit": metadata.get("git_commit", properties.get("CommitId", "")),
            "repository": properties.get("Repository", ""),
            "configuration": metadata.get("config_uri", ""),
            "configuration_sha256": metadata.get("config_sha256", ""),
        },
        "data": {
            "sha256": metadata.get("data_sha256", ""),
            "report": report_uri,
            **_data(clients.s3, report_uri),
        },
        "training_job": _training(clients.sagemaker, metadata.get("training_job_arn", "")),
        "execution": _execution(clients.sagemaker, version.execution_arn),
        "evaluation": _evaluation(clients.s3, version),
    }


def tree(found: dict[str, Any]) -> str:
    """What `trace` found, as a tree."""
    version = found["version"]
    lines = [
        f"{found['asked']}: version {version['number']} of {version['group']}, {WORDS[version['status']]}"
    ]
    branches = [
        ("version", {key: version[key] for key in ("arn", "registered", "decision", "model", "image")}),
        *((name, found[name]) for name in ("source", "data", "training_job", "execution", "evaluation")),
    ]
    for name, leaves in branches:
        lines.append(f"+- {name.replace('_', ' ')}")
        shown = [(key, value) for key, value in leaves.items() if value not in ("", None, [])]
        width = max((len(key) for key, _ in shown), default=0)
        for key, value in shown or [("", "not known")]:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            lines.append(f"|  +- {key.replace('_', ' '):<{width}}  {text}")
    return "\n".join(lines)


def _version(settings: Settings, sagemaker: Any, subject: str | None) -> Version:
    project = settings.project
    if subject is None:
        live = registry.live(project, sagemaker)
        if live is None:
            raise UserError(
                f"model package group {project.model_package_group}: no version is approved, none is live; "
                "say which one is meant: `make lineage ARGS=1`"
            )
        return live
    if subject.isdecimal():
        return registry.find(project, sagemaker, int(subject))
    if subject.startswith("arn:"):
        return _ours(settings, sagemaker, subject)
    if subject.startswith(ENDPOINT):
        return _ours(settings, sagemaker, _of_endpoint(sagemaker, subject.removeprefix(ENDPOINT)))
    carried = of_file(Path(subject))
    if isinstance(carried, int):
        return registry.find(project, sagemaker, carried)
    return _ours(settings, sagemaker, carried)


def _ours(settings: Settings, sagemaker: Any, arn: str) -> Version:
    group = settings.project.model_package_group
    if f":model-package/{group}/" not in arn:
        raise UserError(f"{arn}: expected a version of {group}; ask in the repository that made it")
    return registry.describe(sagemaker, arn)


def _of_endpoint(sagemaker: Any, name: str) -> str:
    with explained(f"endpoint {name}"):
        config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
    container = model.get("PrimaryContainer") or model["Containers"][0]
    package = container.get("ModelPackageName")
    if not package:
        raise UserError(
            f"endpoint {name}: its model {variant['ModelName']} was not made from a model package"
        )
    return str(package)


def of_file(path: Path) -> int | str:
    """The version that a file carries: its number, or the model package's ARN.

    Known are results of batch inference (CSV or JSON Lines with `model_version`), their summaries, and the
    records of deployments.

    Raises:
        UserError: the file is not there, or carries none.
    """
    expected = (
        f"{path}: expected a version's number, a model package's ARN, {ENDPOINT}NAME, or a file that "
        f"carries one (a result of batch inference with {_COLUMN}, its summary, a deployment's live.json)"
    )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(1 << 20)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{expected}; {path}: {error}") from None
    readers: tuple[Callable[[str], Any], ...] = (_of_document, _of_line, _of_table)
    for reader in readers:
        try:
            found = reader(start)
        except (ValueError, KeyError, TypeError, StopIteration, csv.Error):
            continue
        if isinstance(found, int) or (isinstance(found, str) and found.startswith("arn:")):
            return found
    raise UserError(f"{expected}; {path} carries none")


def _of_document(text: str) -> Any:
    content = json.loads(text)
    return content.get("model_package_arn") or content["model"]["package_arn"]


def _of_line(text: str) -> Any:
    first = json.loads(text.split("\n", 1)[0])
    return first.get("model_package_arn") or int(first[_COLUMN])


def _of_table(text: str) -> Any:
    return int(next(csv.DictReader(text.splitlines(keepends=True)))[_COLUMN])


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was found, or why it was not: one part that is gone must not hide the others."""
    try:
        return look()
    except UserError as error:
        return {"not_readable": " ".join(str(error).split())}


def _data(s3: Any, report_uri: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        report = aws.read_json(s3, report_uri)
        if report is None:
            return {"not_readable": "the report is not there any more"}
        return {
            "rows": report["input"]["rows"],
            "files": [file["name"] for file in report["input"]["files"]],
            "texts": [f"{name} {part['texts']}" for name, part in report["sets"].items()],
        }

    return _tried(look) if report_uri else {}


def _training(sagemaker: Any, arn: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        with explained(f"training job {arn}"):
            job = sagemaker.describe_training_job(TrainingJobName=arn.rsplit("/", 1)[-1])
        resources = job["ResourceConfig"]
        return {
            "status": job["TrainingJobStatus"],
            "started": _time(job.get("TrainingStartTime")),
            "ended": _time(job.get("TrainingEndTime")),
            "machines": f"{resources['InstanceCount']} x {resources['InstanceType']}",
            "image": job["AlgorithmSpecification"].get("TrainingImage", ""),
            "reads": [
                f"{channel['ChannelName']} {channel['DataSource']['S3DataSource']['S3Uri']}"
                for channel in job.get("InputDataConfig", [])
            ],
        }

    return {"arn": arn, **_tried(look)} if arn else {}


def _execution(sagemaker: Any, arn: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        with explained(f"pipeline execution {arn}"):
            found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        by = found.get("CreatedBy", {}).get("IamIdentity", {}).get("Arn", "")
        return {
            "status": found["PipelineExecutionStatus"],
            "started": _time(found.get("CreationTime")),
            "started_by": by,
        }

    return {"arn": arn, **_tried(look)} if arn else {}


def _evaluation(s3: Any, version: Version) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        content = aws.read_json(s3, version.evaluation_uri)
        if content is None:
            return {"not_readable": "it is not there any more"}
        compared = content.get("comparison", {}).get("live", {})
        return {
            "gate": content["gate"]["message"],
            "test_rows": content["test_rows"],
            "compared_with": f"version {compared['version']}" if compared else "no live model",
        }

    uri = version.evaluation_uri
    return {"figures": uri, "report": version.metadata.get("report_uri", ""), **_tried(look)} if uri else {}


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".strip() if moment else ""
