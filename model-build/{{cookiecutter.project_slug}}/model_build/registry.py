"""The model registry: versions in the model package group, which of them is live, and the card of a version.

Live is the newest version that a person has approved. It is looked up once, when a run starts, and the answer
travels as pipeline parameters, so that evaluation compares with one version whatever is approved meanwhile. A
processing job's inputs are fixed in the definition; where there is nothing to compare with they read a
placeholder that is always there.

A model package's card has a layout of its own, simpler than that of other cards: `SageMakerModelCardSchema`
in "View the Details of a Model Version" of the SageMaker Developer Guide. Its content is JSON as one text.
Most of it is known when the definition is built; figures come from the pipeline, as texts of JSON that
evaluation has written (steps/report/registry.py), joined in between.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from configuration import UserError

from . import aws
from .assets import Asset, digest_of
from .config import Card, ProjectConfig, Settings

PENDING, APPROVED, REJECTED = "PendingManualApproval", "Approved", "Rejected"
WORDS = {PENDING: "waits for approval", APPROVED: "approved", REJECTED: "rejected"}
_MOST = 1000

LIVE_PACKAGE, LIVE_COMMIT, LIVE_MODEL, LIVE_SETTINGS, LIVE_REPORT = LIVE_PARAMETERS = (
    "LiveModelPackage",
    "LiveCommit",
    "LiveModel",
    "LiveSettings",
    "LiveReport",
)
"""The pipeline parameters that say what is live."""
NONE = "none"
"""No version is approved."""
UNRESOLVED = "unresolved"
"""Nobody has looked: the pipeline was started by hand, in Studio for example."""

NOT_STATED = "Not stated (config/model.yaml: card)."
CARD_STATUS = "PendingReview"
_CARD_TEXT = 2048  # characters

_NOTICE = b"Read by evaluation in the place of a live model: there was none to compare with.\n"


@dataclass(frozen=True)
class Version:
    """A version, from DescribeModelPackage.

    Attributes:
        described: the whole answer.
    """

    described: dict[str, Any]

    @property
    def arn(self) -> str:
        """Of the model package."""
        return str(self.described["ModelPackageArn"])

    @property
    def number(self) -> int:
        """Its number in the group."""
        return int(self.described["ModelPackageVersion"])

    @property
    def status(self) -> str:
        """A key of `WORDS`."""
        return str(self.described["ModelApprovalStatus"])

    @property
    def created(self) -> datetime:
        """When it was registered."""
        found: datetime = self.described["CreationTime"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        """What serves it: image, archive, environment."""
        found: dict[str, Any] = self.described["InferenceSpecification"]["Containers"][0]
        return found

    @property
    def metadata(self) -> dict[str, str]:
        """What the pipeline wrote down about it."""
        return dict(self.described.get("CustomerMetadataProperties", {}))

    @property
    def evaluation_uri(self) -> str:
        """Where its evaluation.json is; "" if it has none."""
        metrics = self.described.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {})
        return str(metrics.get("S3Uri", ""))

    @property
    def execution_arn(self) -> str:
        """Of the pipeline that made it; "" if it does not say."""
        return str(self.described.get("MetadataProperties", {}).get("GeneratedBy", ""))

    @property
    def decision(self) -> str:
        """Who approved or rejected it, when and why; "" if nobody said."""
        return str(self.described.get("ApprovalDescription", ""))


def model_packages(
    project: ProjectConfig, sagemaker: Any, most: int, status: str | None = None
) -> list[dict[str, Any]]:
    """Summaries of the newest versions in the group, newest first.

    Args:
        project: says which group.
        sagemaker: a client.
        most: how many at most.
        status: only those about which this was decided, a key of `WORDS`; None: all.

    Raises:
        UserError: the registry cannot be read.
    """
    found: list[dict[str, Any]] = []
    request: dict[str, Any] = {
        "ModelPackageGroupName": project.model_package_group,
        "SortBy": "CreationTime",
        "SortOrder": "Descending",  # the service's default is oldest first
        "PaginationConfig": {"PageSize": 100},  # its default is 10
        **({"ModelApprovalStatus": status} if status else {}),
    }
    with aws.explained(f"model package group {project.model_package_group}"):
        try:
            for page in sagemaker.get_paginator("list_model_packages").paginate(**request):
                found += page["ModelPackageSummaryList"]  # a page may be empty and not the last
                if len(found) >= most:
                    break
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
    return found[:most]


def describe(sagemaker: Any, arn: str) -> Version:
    """A version by its ARN.

    Raises:
        UserError: it is not there, or may not be read.
    """
    with aws.explained(f"model package {arn}"):
        return Version(sagemaker.describe_model_package(ModelPackageName=arn))


def find(project: ProjectConfig, sagemaker: Any, number: int | None) -> Version:
    """The version with this number; without one the newest that waits for approval.

    Raises:
        UserError: there is none; the message lists those that there are.
    """
    group, known = project.model_package_group, model_packages(project, sagemaker, _MOST)
    if not known:
        raise UserError(f"model package group {group}: no version yet; train one first: `make run`")
    if number is not None:
        for each in known:
            if each["ModelPackageVersion"] == number:
                return describe(sagemaker, each["ModelPackageArn"])
        raise UserError(f"version {number}: expected one of {_listed(known)} in group {group}")
    for each in known:
        if each["ModelApprovalStatus"] == PENDING:
            return describe(sagemaker, each["ModelPackageArn"])
    raise UserError(
        f"model package group {group}: no version waits for approval; say which is meant, of {_listed(known)}"
    )


def _listed(known: Sequence[dict[str, Any]], most: int = 10) -> str:
    """Versions and what was decided about them, the newest first."""
    shown = [f"{each['ModelPackageVersion']} ({WORDS[each['ModelApprovalStatus']]})" for each in known[:most]]
    more = f", and {len(known) - most} older" if len(known) > most else ""
    return ", ".join(shown) + more


def approved(project: ProjectConfig, sagemaker: Any) -> list[int]:
    """The numbers of the approved versions, the newest first: the first of them is live."""
    return [int(each["ModelPackageVersion"]) for each in _approved(project, sagemaker)]


def live(project: ProjectConfig, sagemaker: Any) -> Version | None:
    """The live version; None while no version is approved.

    Raises:
        UserError: the registry cannot be read.
    """
    newest = next(iter(_approved(project, sagemaker)), None)
    return describe(sagemaker, newest["ModelPackageArn"]) if newest else None


def _approved(project: ProjectConfig, sagemaker: Any) -> list[dict[str, Any]]:
    found = model_packages(project, sagemaker, _MOST, APPROVED)
    return [each for each in found if each["ModelPackageStatus"] == "Completed"]


def live_parameters(version: Version | None, s3: Any) -> dict[str, str]:
    """The pipeline parameters that say what is live. What is not in S3 any more keeps its default.

    Args:
        version: the live one; None while no version is approved.
        s3: a client that may list the bucket.

    Raises:
        UserError: S3 does not answer.
    """
    if version is None:
        return {LIVE_PACKAGE: NONE}
    metadata = version.metadata
    locations = {
        LIVE_MODEL: version.container.get("ModelDataUrl", ""),
        LIVE_SETTINGS: metadata.get("settings_uri", ""),
        LIVE_REPORT: metadata.get("data_report_uri", "").rpartition("/")[0],
    }
    return {
        LIVE_PACKAGE: version.arn,
        LIVE_COMMIT: metadata.get("git_commit") or NONE,
        **{name: uri for name, uri in locations.items() if uri and _is_there(s3, uri)},
    }


def live_defaults(placeholder_uri: str) -> dict[str, str]:
    """The parameters of a run that nobody looked up a live version for."""
    return {
        LIVE_PACKAGE: UNRESOLVED,
        LIVE_COMMIT: NONE,
        LIVE_MODEL: placeholder_uri,
        LIVE_SETTINGS: placeholder_uri,
        LIVE_REPORT: placeholder_uri,
    }


def placeholder(bucket: str) -> Asset:
    """What evaluation's inputs read when there is nothing to compare with."""
    uri = f"s3://{bucket}/config/{digest_of(_NOTICE.decode())}"
    return Asset("placeholder", uri, {"no-live-model.txt": _NOTICE})


def _is_there(s3: Any, uri: str) -> bool:
    with aws.explained(uri):
        try:
            return aws.holds_objects(s3, uri)
        except ClientError as error:
            if aws.code(error) in ("NoSuchBucket", "AccessDenied"):
                return False
            raise


def known_card(
    settings: Settings, commit: str, hyperparameters: Mapping[str, str], image: str
) -> dict[str, Any]:
    """The parts of a card that are known before anything has run.

    Args:
        settings: of the repository.
        commit: that the definition is built from.
        hyperparameters: of the training job.
        image: of the training job.
    """
    project, model = settings.project, settings.model
    card = model.card
    return {
        "model_overview": {
            "model_creator": _cut(f"{project.name}: pipeline {project.pipeline_name}, commit {commit}", 1024)
        },
        "intended_uses": _intended_uses(card),
        "business_details": {
            "business_problem": _cut(card.purpose or project.description or NOT_STATED, _CARD_TEXT),
            "business_stakeholders": card.stakeholders or NOT_STATED,
        },
        "training_details": {
            "training_observations": _cut(
                f"Fine-tuned from {model.model.base}; texts of {' + '.join(model.data.text_columns)}, "
                f"at most {model.model.max_length} tokens, cut by {model.model.truncation}. "
                "Minimises cross-entropy; "
                f"the epoch with the best {model.training.early_stopping.metric} on validation is kept.",
                1024,
            ),
            "training_job_details": {
                "training_environment": {"container_image": [image]},
                "user_provided_hyper_parameters": [
                    {"name": name, "value": value[:255]}
                    for name, value in sorted(hyperparameters.items())
                    if value and name != "epochs"  # a parameter of the run: the training job says it
                ],
            },
        },
        "additional_information": {
            "ethical_considerations": card.ethical_considerations or NOT_STATED,
        },
    }


def joined_card(
    known: Mapping[str, Any], values: Mapping[str, Any], evaluation: Any, caveats: Any
) -> list[Any]:
    """The card as pieces of text, to be joined by the pipeline: pieces of JSON, and variables between them.

    Args:
        known: of `known_card`.
        values: pipeline variables that are plain texts (URIs, ARNs, digests): `model_artifact`,
            `training_arn`,
            `training_datasets` and those of `custom_details`, by these names.
        evaluation: variable with the card's evaluation_details, JSON.
        caveats: variable with the card's caveats_and_recommendations, JSON.
    """
    content = json.loads(json.dumps(known))
    marks: dict[str, tuple[Any, bool]] = {}

    def mark(variable: Any, *, is_json: bool = False) -> str:
        name = f"\0{len(marks)}\0"
        marks[json.dumps(name)] = (variable, is_json)
        return name

    details = content["training_details"]["training_job_details"]
    content["model_overview"]["model_artifact"] = [mark(values["model_artifact"])]
    details["training_arn"] = mark(values["training_arn"])
    details["training_datasets"] = [mark(values["training_datasets"])]
    content["evaluation_details"] = mark(evaluation, is_json=True)
    content["additional_information"]["caveats_and_recommendations"] = mark(caveats, is_json=True)
    content["additional_information"]["custom_details"] = {
        name: mark(value) if not isinstance(value, str) else value[:1024]
        for name, value in values["custom_details"].items()
    }
    rest = json.dumps(content, separators=(",", ":"))
    pieces: list[Any] = []
    for quoted, (variable, is_json) in sorted(marks.items(), key=lambda each: rest.index(each[0])):
        before, _, rest = rest.partition(quoted)
        pieces += [before, variable] if is_json else [before + '"', variable]
        rest = rest if is_json else '"' + rest
    return [piece for piece in [*pieces, rest] if piece != ""]


def _intended_uses(card: Card) -> dict[str, str]:
    uses = {
        "purpose_of_model": card.purpose or NOT_STATED,
        "intended_uses": card.intended_uses or NOT_STATED,
        "factors_affecting_model_efficiency": _cut(
            f"Not for: {card.not_for}" if card.not_for else f"Uses that it is not for: {NOT_STATED}",
            _CARD_TEXT,
        ),
        "risk_rating": card.risk_rating,
        "explanations_for_risk_rating": card.risk_reason or NOT_STATED,
    }
    return uses


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
