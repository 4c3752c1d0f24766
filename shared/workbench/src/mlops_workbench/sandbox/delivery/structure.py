"""The structure of a pipeline, checked as CreatePipeline and UpdatePipeline check it.

[read] in "CodePipeline pipeline structure reference" and in the action reference of each provider. What AWS
finds only when the pipeline runs (an input that no action makes) it finds here too, before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.delivery import conditions
from mlops_workbench.sandbox.delivery.structure_error import UNUSED, StructureError

_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")


@dataclass(frozen=True)
class Provider:
    """What an action of a provider may and must declare."""

    required: frozenset[str]
    optional: frozenset[str]
    inputs: tuple[int, int]
    outputs: tuple[int, int]


def _provider(required: str, optional: str, inputs: tuple[int, int], outputs: tuple[int, int]) -> Provider:
    return Provider(frozenset(required.split()), frozenset(optional.split()), inputs, outputs)


#: (category, provider): the actions that the sandbox runs.
PROVIDERS: Mapping[tuple[str, str], Provider] = {
    ("Source", "S3"): _provider(
        "S3Bucket S3ObjectKey", "PollForSourceChanges AllowOverrideForS3ObjectKey", (0, 0), (1, 1)
    ),
    ("Build", "CodeBuild"): _provider(
        "ProjectName", "PrimarySource EnvironmentVariables BatchEnabled CombineArtifacts", (1, 5), (0, 5)
    ),
    ("Approval", "Manual"): _provider("", "CustomData ExternalEntityLink NotificationArn", (0, 0), (0, 0)),
    ("Invoke", "Lambda"): _provider("FunctionName", "UserParameters", (0, 5), (0, 5)),
    ("Deploy", "S3"): _provider(
        "BucketName Extract", "ObjectKey KMSEncryptionKeyARN CannedACL CacheControl", (1, 1), (0, 0)
    ),
}
PROVIDERS = {**PROVIDERS, ("Test", "CodeBuild"): PROVIDERS["Build", "CodeBuild"]}


def check(pipeline: Mapping[str, Any]) -> None:
    """Raise StructureError for the first thing that is wrong."""
    name = pipeline.get("name") or ""
    if not _NAME.fullmatch(name):
        raise StructureError(f"pipeline name: expected letters, digits, . @ - _, got {name!r}")
    stages = pipeline.get("stages") or []
    if len(stages) < 2:
        raise StructureError(f"Pipeline should have at least 2 stages, got {len(stages)}")
    _unique([stage["name"] for stage in stages], "stage")
    if (mode := pipeline.get("executionMode") or "SUPERSEDED") != "SUPERSEDED":
        raise StructureError(
            f"executionMode: the sandbox does not run pipelines in mode {mode}, only in SUPERSEDED; "
            "no template uses it",
            UNUSED,
        )
    if bool(pipeline.get("artifactStore")) == bool(pipeline.get("artifactStores")):
        raise StructureError("expected artifactStore or artifactStores, and not both")
    made: set[str] = set()
    for index, stage in enumerate(stages):
        _check_stage(pipeline, stage, first=index == 0)
        made = _check_artifacts(stage, made)


def _check_stage(pipeline: Mapping[str, Any], stage: Mapping[str, Any], *, first: bool) -> None:
    where = f"stage {stage['name']}"
    if not _NAME.fullmatch(stage["name"]):
        raise StructureError(f"{where}: expected letters, digits, . @ - _")
    actions = stage.get("actions") or []
    if not actions:
        raise StructureError(f"{where}: expected at least one action")
    _unique([action["name"] for action in actions], f"{where}: action")
    for action in actions:
        if not _NAME.fullmatch(action["name"]):
            raise StructureError(f"{where}: action {action['name']}: expected letters, digits, . @ - _")
        source = action["actionTypeId"]["category"] == "Source"
        if source != first:
            rule = "Source actions only" if first else "no Source action; they belong in the first stage"
            raise StructureError(f"{where}: action {action['name']}: expected {rule}")
        _check_action(action, f"{where}: action {action['name']}")
    conditions.check(pipeline, stage, where)
    for key in ("onSuccess", "onFailure"):
        if stage.get(key):
            raise StructureError(
                f"{where}: {key}: the sandbox does not evaluate such conditions, nor retry or roll back a "
                "stage; no template uses them",
                UNUSED,
            )


def _check_action(action: Mapping[str, Any], where: str) -> None:
    kind = action["actionTypeId"]
    provider = PROVIDERS.get((kind["category"], kind["provider"]))
    if provider is None:
        known = ", ".join(f"{category} {name}" for category, name in PROVIDERS)
        raise StructureError(
            f"{where}: the sandbox runs {known}; got {kind['category']} {kind['provider']}",
            "InvalidActionDeclarationException",
        )
    given = action.get("configuration") or {}
    for key in sorted(provider.required - set(given)):
        raise StructureError(f"{where}: configuration {key} is required", "InvalidActionDeclarationException")
    for key in sorted(set(given) - provider.required - provider.optional):
        raise StructureError(f"{where}: unknown configuration {key}", "InvalidActionDeclarationException")
    for key, (low, high) in (("inputArtifacts", provider.inputs), ("outputArtifacts", provider.outputs)):
        count = len(action.get(key) or [])
        if not low <= count <= high:
            expected = str(low) if low == high else f"{low} to {high}"
            raise StructureError(f"{where}: {key}: expected {expected}, got {count}")
    sources = [entry["name"] for entry in action.get("inputArtifacts") or []]
    primary = given.get("PrimarySource")
    if kind["provider"] == "CodeBuild" and (len(sources) > 1 or primary) and primary not in sources:
        raise StructureError(
            f"{where}: PrimarySource: expected one of {', '.join(sources)}, got {primary!r}",
            "InvalidActionDeclarationException",
        )


def _check_artifacts(stage: Mapping[str, Any], made: set[str]) -> set[str]:
    """Return the artifacts that exist after a stage; of actions side by side none sees the other's."""
    made = set(made)
    for order in sorted({action.get("runOrder") or 1 for action in stage["actions"]}):
        group = [action for action in stage["actions"] if (action.get("runOrder") or 1) == order]
        outputs = [entry["name"] for action in group for entry in action.get("outputArtifacts") or []]
        for action in group:
            for entry in action.get("inputArtifacts") or []:
                if entry["name"] not in made:
                    raise StructureError(
                        f"stage {stage['name']}: action {action['name']}: input artifact {entry['name']} is "
                        "the output of no earlier action"
                    )
        for name in outputs:
            if name in made or outputs.count(name) > 1:
                raise StructureError(f"stage {stage['name']}: output artifact {name} is declared twice")
        made |= set(outputs)
    return made


def _unique(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise StructureError(f"{what} {name}: expected a name of its own, got it twice")
