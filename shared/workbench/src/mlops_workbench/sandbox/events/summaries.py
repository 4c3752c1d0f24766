"""An event in a few words, for a list that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def summary(event: Mapping[str, Any]) -> str:
    """Return what happened to what: ``s3://bucket/key``, ``email-router/3 Approved``, ``name: SUCCEEDED``."""
    detail: Mapping[str, Any] = event.get("detail") or {}
    if event["source"] == "aws.s3" and "bucket" in detail:
        return f"s3://{detail['bucket'].get('name', '')}/{detail.get('object', {}).get('key', '')}"
    if "ModelPackageArn" in detail:
        package = str(detail["ModelPackageArn"]).split("/", 1)[-1]
        return f"{package} {detail.get('ModelApprovalStatus', '')}".strip()
    if "EndpointStatus" in detail:
        return f"{detail.get('EndpointName', '')}: {detail['EndpointStatus']}"
    if "currentPipelineExecutionStatus" in detail:
        name = str(detail.get("pipelineArn", "")).rsplit("/", 1)[-1]
        return f"{name}: {detail['currentPipelineExecutionStatus']}"
    if "currentStepStatus" in detail:
        name = str(detail.get("pipelineArn", "")).rsplit("/", 1)[-1]
        return f"{name}/{detail.get('stepName', '')}: {detail['currentStepStatus']}"
    if "alarmName" in detail:
        return f"{detail['alarmName']}: {(detail.get('state') or {}).get('value', '')}"
    name = detail.get("pipeline") or detail.get("project-name") or ""
    state = detail.get("state") or detail.get("build-status") or ""
    return ": ".join(part for part in (str(name), str(state)) if part)
