"""What a finished run says: metrics, reports and the model package."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import beside
from .assets import split_uri

_SHOWN = {
    "multiclass_classification_metrics": (
        "accuracy",
        "macro_f1",
        "weighted_f1",
        "expected_calibration_error",
    ),
    "multilabel_classification_metrics": (
        "micro_f1",
        "macro_f1",
        "exact_match",
        "expected_calibration_error",
    ),
}
"""Figures for a terminal, by where they are in evaluation.json."""


@dataclass(frozen=True)
class Result:
    """The outcome of an execution.

    Attributes:
        evaluation: the content of evaluation.json.
        report: the HTML report on this machine.
        package_arn: the model package, when one was registered.
    """

    evaluation: dict[str, Any]
    report: Path
    package_arn: str | None


def collect(steps: list[dict[str, Any]], sagemaker: Any, s3: Any, folder: Path) -> Result | None:
    """Fetch the reports of an execution's steps into `folder`; None when it ended before the evaluation."""
    done = {step["StepName"]: step.get("Metadata", {}) for step in steps if step["StepStatus"] == "Succeeded"}
    if "Evaluate" not in done:
        return None
    job = done["Evaluate"]["ProcessingJob"]["Arn"]
    described = sagemaker.describe_processing_job(ProcessingJobName=job.rsplit("/", 1)[-1])
    outputs = described["ProcessingOutputConfig"]["Outputs"]
    uri = next(output["S3Output"]["S3Uri"] for output in outputs if output["OutputName"] == "evaluation")
    folder.mkdir(parents=True, exist_ok=True)
    bucket, prefix = split_uri(uri)
    for name in ("evaluation.json", "report.html"):
        s3.download_file(bucket, f"{prefix}/{name}", str(folder / name))
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    package = done.get("Register", {}).get("RegisterModel", {}).get("Arn")
    return Result(evaluation, folder / "report.html", package)


def summary(result: Result, root: Path) -> str:
    """The figures of a run for a terminal."""
    lines = [f"On {result.evaluation['test_rows']} test rows:"]
    targets = result.evaluation.get("targets")
    for name, target in (targets or {"": result.evaluation}).items():
        lines += [f"  {name}", *(f"  {line}" for line in _figures(target))] if targets else _figures(target)
    lines += beside.briefly(result.evaluation)
    shown = result.report.relative_to(root) if result.report.is_relative_to(root) else result.report
    lines.append(f"Report: {shown}")
    lines.append(
        f"Model package: {result.package_arn} (PendingManualApproval)"
        if result.package_arn
        else "No model package: the quality gate did not pass."
    )
    return "\n".join(lines)


def _figures(target: dict[str, Any]) -> list[str]:
    """The main figures of one target, and what it may answer without a person."""
    found = ((target[key], names) for key, names in _SHOWN.items() if key in target)
    metrics, names = next(found)
    lines = []
    for name in names:
        interval = metrics[name].get("confidence_interval")
        between = f"   (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        lines.append(f"  {name:<28}{metrics[name]['value']:.3f}{between}")
    if triage := target.get("triage"):
        share, precision = triage["coverage"]["value"], triage["precision"]["value"]
        told = f"   ({precision:.1%} of these answers are right)" if share else ""
        lines.append(f"  {'without a person':<28}{share:.3f}{told}")
    return lines
