"""The function that compares: what was answered in the last days, and what the model was trained with.

A schedule calls it; then it says what it found in one line of its log, and as the metric `Drift`, which an
alarm watches. The command `watch` calls it too, and is told the figures themselves; that leaves no metric.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import boto3
from botocore.config import Config

from . import count, drift
from . import lately as metrics
from .drift import Finding, NoProfile, Profile
from .lately import Lately

CLIENT = Config(retries={"mode": "standard", "total_max_attempts": 5}, read_timeout=60)
APPROVED = "Approved"


class Settings(NamedTuple):
    """What Terraform tells this function; see terraform/modules/watching.

    Attributes:
        name: of the endpoint, or of the batch pipeline.
        days: how many are compared.
        texts: with fewer answers there is no verdict.
        limit: the alarm's threshold.
        version: of the live model package; "": the newest approved one of the group.
        model_data_url: of the live model.
        group_arn: of the model package group, where `version` is "".
        only_target: what the only target of a model is called in the metrics; "": by its name.
    """

    name: str
    days: int
    texts: int
    limit: float
    version: str
    model_data_url: str
    group_arn: str
    only_target: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> "Settings":
        """Reads the environment variables."""
        return cls(
            variables["NAME"],
            int(variables["DAYS"]),
            int(variables["TEXTS"]),
            float(variables["LIMIT"]),
            variables.get("MODEL_VERSION", ""),
            variables.get("MODEL_DATA_URL", ""),
            variables.get("MODEL_PACKAGE_GROUP_ARN", ""),
            variables.get("ONLY_TARGET", ""),
        )


class Model(NamedTuple):
    """The model whose answers are looked at."""

    version: str
    data_url: str


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Compares.

    Args:
        event: `{"quiet": true}` for the figures without a metric; anything else: the schedule's.

    Returns:
        The figures, the profile and the verdict, for the command `watch`.
    """
    settings = Settings.of(os.environ)
    model = (
        Model(settings.version, settings.model_data_url)
        if settings.version
        else newest_approved(boto3.client("sagemaker", config=CLIENT), settings.group_arn)
    )
    if model is None:
        return said(f"{settings.name}: no version is approved, so there is nothing to compare")
    try:
        profile = drift.profile_of(boto3.client("s3", config=CLIENT), model.data_url)
    except NoProfile as problem:
        return said(f"{settings.name} version {model.version}: no verdict: {problem}")
    labels = {
        settings.only_target if settings.only_target and len(profile["targets"]) == 1 else name: each
        for name, each in profile["targets"].items()
    }
    lately = metrics.read(
        boto3.client("cloudwatch", config=CLIENT),
        settings.name,
        model.version,
        settings.days,
        {name: list(each["labels"]) for name, each in labels.items()},
    )
    found = findings({**profile, "targets": labels}, lately)
    enough = lately.texts >= settings.texts
    if enough and not event.get("quiet"):
        count.put(documents(settings.name, found))
    return {
        **said(in_words(settings, model, lately, found)),
        "name": settings.name,
        "version": model.version,
        "days": settings.days,
        "limit": settings.limit,
        "enough": enough,
        "lately": {
            **lately._asdict(),
            "targets": {name: each._asdict() for name, each in lately.targets.items()},
        },
        "profile": {**profile, "targets": labels},
        "findings": [{**each._asdict(), "drift": each.drift, "name": each.name} for each in found],
    }


def said(line: str) -> dict[str, Any]:
    """Prints the line, which the answer has too."""
    print(line)
    return {"verdict": line}


def newest_approved(sagemaker: Any, group_arn: str) -> Model | None:
    """The version that answers now, as batch-inference chooses it; None: there is none."""
    pages = sagemaker.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group_arn,
        ModelApprovalStatus=APPROVED,
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    for page in pages:
        for found in page["ModelPackageSummaryList"]:
            if found["ModelPackageStatus"] == "Completed":
                package = sagemaker.describe_model_package(ModelPackageName=found["ModelPackageArn"])
                container = package["InferenceSpecification"]["Containers"][0]
                return Model(str(found["ModelPackageVersion"]), container["ModelDataUrl"])
    return None


def findings(profile: Profile, lately: Lately) -> list[Finding]:
    """Every comparison for which both sides have data, the largest drift first."""
    found = [drift.compare("", "words", profile["words"]["bins"]["counts"], lately.words)]
    # Fewer unknown words than training had found in its validation set are no reason to tell anybody.
    if (lately.mean_unknown or 0.0) > profile["unknown"]["mean"]:
        bins = profile["unknown"]["bins"]["counts"]
        found.append(drift.compare("", "unknown_words", bins, lately.unknown))
    for name, target in profile["targets"].items():
        answered, validation = lately.targets[name], target["validation"]
        found.append(drift.by_label(name, target["labels"], answered.labels))
        bins = validation["confidence"]["bins"]["counts"]
        found.append(drift.compare(name, "confidence", bins, answered.confidence))
    return sorted((each for each in found if each), key=lambda each: -each.drift)


def documents(name: str, found: list[Finding]) -> list[count.Document]:
    """The metric `Drift`: of each comparison, and the largest of all, which the alarm watches."""
    units = {"Drift": "None"}
    each = [
        count.document(
            {"Name": name, "Target": finding.target or "(texts)", "Feature": finding.feature},
            {"Drift": round(finding.drift, 4)},
            units,
        )
        for finding in found
    ]
    largest = max((finding.drift for finding in found), default=0.0)
    return [*each, count.document({"Name": name}, {"Drift": round(largest, 4)}, units)]


def in_words(settings: Settings, model: Model, lately: Lately, found: list[Finding]) -> str:
    """The line for a person."""
    texts = f"{lately.texts:,} text{'' if lately.texts == 1 else 's'}"
    days = f"{settings.days} day{'' if settings.days == 1 else 's'}"
    begin = f"{settings.name} version {model.version}, {texts} in {days}"
    if lately.texts < settings.texts:
        return f"{begin}: no verdict, it takes {settings.texts:,} (watching.texts)"
    each = ", ".join(
        f"{finding.name} {finding.drift:.2f} (PSI {finding.psi:.2f}, by chance up to {finding.chance:.2f})"
        for finding in found
    )
    beyond = [finding for finding in found if finding.drift > settings.limit]
    verdict = (
        f"unlike the training data, above {settings.limit:g}: {', '.join(one.name for one in beyond)}"
        if beyond
        else f"like the training data, nothing above {settings.limit:g}"
    )
    return f"{begin}: {verdict}. Drift: {each}"
