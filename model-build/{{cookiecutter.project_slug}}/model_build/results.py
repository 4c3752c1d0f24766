"""What evaluation measured, for a terminal: the figures of a run, and a version beside the live one.

What is shown was measured when the version was trained (steps/evaluate.py); nothing is measured here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.metrics import LABELS, PLACES, gain, names

from .assets import split_uri
from .registry import WORDS, Version

_CLASSES = 5
_SETTINGS = 8


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


def report_folder(root: Path, execution_arn: str) -> Path:
    """Where the reports of an execution are put for people: reports/<execution id>/."""
    name = re.sub(r"[^\w-]", "-", execution_arn.rsplit("/", 1)[-1])
    return root / "reports" / name


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
        lines += (
            [f"  {name}", *(f"  {line}" for line in _main_figures(target))]
            if targets
            else _main_figures(target)
        )
    lines += briefly(result.evaluation)
    shown = result.report.relative_to(root) if result.report.is_relative_to(root) else result.report
    lines.append(f"Report: {shown}")
    lines.append(
        f"Model package: {result.package_arn} (PendingManualApproval)"
        if result.package_arn
        else "No model package: the quality gate did not pass."
    )
    return "\n".join(lines)


def _main_figures(target: dict[str, Any]) -> list[str]:
    """The main figures of one target, and what it may answer without a person."""
    several = "multilabel_classification_metrics" in target
    kind = "several" if several else "one"
    metrics = target[PLACES[kind]]
    lines = []
    for name in names(kind, "headline"):
        interval = metrics[name].get("confidence_interval")
        between = f"   (95 % interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
        lines.append(f"  {name:<28}{metrics[name]['value']:.3f}{between}")
    if triage := target.get("triage"):
        share, precision = triage["coverage"]["value"], triage["precision"]["value"]
        told = f"   ({precision:.1%} of these answers are right)" if share else ""
        lines.append(f"  {'without a person':<28}{share:.3f}{told}")
    return lines


def beside(version: Version, evaluation: Mapping[str, Any] | None, live: int | None) -> list[str]:
    """Lines about a version, and about how it compares.

    Args:
        version: that is to be decided about.
        evaluation: its evaluation.json; None if that is gone.
        live: the number of the live version at this moment; None while no version is approved.
    """
    metadata = version.metadata
    lines = [
        f"version {version.number}: {WORDS[version.status]}, registered {version.created:%Y-%m-%d %H:%M}",
        f"  commit {metadata.get('git_commit', 'unknown')[:12]}, "
        f"data {metadata.get('data_sha256', 'unknown')[:12]}",
    ]
    if version.decision:
        lines.append(f"  {version.decision}")
    if evaluation is None:
        return [*lines, "", f"Its figures are gone: nothing is at {version.evaluation_uri or 'no address'}."]
    comparison = evaluation.get("comparison")
    lines += ["", *_alone(evaluation)]
    if comparison is None:
        return [
            *lines,
            "",
            "It was not compared with a live model: an older version of the steps measured it.",
        ]
    if comparison["status"] != "compared":
        note = str(comparison.get("note", comparison["status"]))
        return [*lines, "", f"{note[:1].upper()}{note[1:]}"]
    then = int(comparison["live"]["version"])
    if live is not None and live != then:
        lines += [
            "",
            f"NOTE: measured beside version {then}, which was live then; live now is version {live}.",
        ]
    rows = comparison["rows"]
    for name, target in comparison["targets"].items():
        of = f"{name}, " if len(comparison["targets"]) > 1 else ""
        lines += ["", f"Beside the live version {then} ({of}on the same {rows['compared']:,} test rows):"]
        lines += [*_figures(target, then, version.number), "", _changed(target["changed"]), *_classes(target)]
    lines += ["", *_differences(comparison)]
    return [*lines, *(f"NOTE: {warning}" for warning in comparison["warnings"])]


def briefly(evaluation: Mapping[str, Any]) -> list[str]:
    """A line for each target that was compared: `Beside the live version 3: accuracy 0.012 better`."""
    comparison = evaluation.get("comparison") or {}
    if comparison.get("status") != "compared":
        return []
    several = len(comparison["targets"]) > 1
    return [
        f"Beside the live version {comparison['live']['version']}: {f'{name}, ' if several else ''}"
        + ", ".join(
            f"{_label(metric)} {difference(gain(metric, figure['difference']), 3)}"
            for metric, figure in target["figures"].items()
        )
        for name, target in comparison["targets"].items()
    ]


def difference(value: float, digits: int) -> str:
    """A difference in words, such as `0.012 better`."""
    if round(abs(value), digits) == 0:
        return "the same"
    return f"{abs(value):.{digits}f} {'better' if value > 0 else 'worse'}"


def _alone(evaluation: Mapping[str, Any]) -> list[str]:
    gate = evaluation["gate"]
    word = "passed" if gate["passed"] else "missed"
    return [f"Gate {word} on {evaluation['test_rows']:,} test rows: {gate['message']}"]


def _figures(target: Mapping[str, Any], then: int, number: int) -> list[str]:
    lines = [f"  {'':<12}{'live v' + str(then):>10}{'new v' + str(number):>10}   {'':<15}95 % interval"]
    for metric, figure in target["figures"].items():
        low, high = figure["confidence_interval"]
        chance = "  (may be chance)" if low <= 0 <= high and figure["difference"] else ""
        lines.append(
            f"  {_label(metric):<12}{figure['live']:>10.4f}{figure['candidate']:>10.4f}   "
            f"{difference(figure['difference'], 4):<15}{low:+.4f} to {high:+.4f}{chance}"
        )
    return lines


def _changed(changed: Mapping[str, int]) -> str:
    return (
        f"  {changed['fixed']} answers became right, {changed['broken']} became wrong; "
        f"{changed['both_right']} right and {changed['both_wrong']} wrong with both"
    )


def _classes(target: Mapping[str, Any]) -> list[str]:
    """Return the classes with the greatest losses and gains in F1."""
    classes = [each for each in target["classes"] if round(abs(each["difference"]), 3)]
    losses = [each for each in classes if each["difference"] < 0][:_CLASSES]
    gains = [each for each in reversed(classes) if each["difference"] > 0][:_CLASSES]
    width = max([len(each["label"]) for each in [*losses, *gains]], default=0)
    lines = []
    for title, found in (("losses", losses), ("gains", gains)):
        for index, each in enumerate(found):
            lines.append(
                f"  {title if index == 0 else '':<8}{each['label']:<{width}}  F1 {each['live']['f1']:.3f} -> "
                f"{each['candidate']['f1']:.3f}  {difference(each['difference'], 3):<14}{each['rows']:,} rows"
            )
    return lines


def _differences(comparison: Mapping[str, Any]) -> list[str]:
    data, settings = comparison["data"], comparison["settings"]
    if data is None:
        lines = ["Data: unknown, the live version does not carry its report."]
    elif data["same"]:
        lines = [f"Data: the same, {data['rows']['candidate']:,} rows."]
    else:
        lines = [
            f"Data: other files, {data['rows']['live']:,} -> {data['rows']['candidate']:,} rows.",
            *_mix(data["label_mix"]),
        ]
    if settings is None:
        return [*lines, "Settings: unknown, the live version does not carry them."]
    if not settings:
        return [*lines, "Settings: the same."]
    more = [f"  and {len(settings) - _SETTINGS} more, in the report"] if len(settings) > _SETTINGS else []
    changes = [
        f"  {each['key']}: {json.dumps(each['live'])} -> {json.dumps(each['candidate'])}"
        for each in settings[:_SETTINGS]
    ]
    return [*lines, "Settings (config/model.yaml):", *changes, *more]


def _mix(mix: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        f"  {each['label']}: {each['live']['share']:.1%} -> {each['candidate']['share']:.1%} "
        "of the texts to train on"
        for each in mix[:3]
        if abs(each["candidate"]["share"] - each["live"]["share"]) >= 0.005
    ]


def _label(metric: str) -> str:
    """A metric's label within a sentence."""
    return LABELS[metric][:1].lower() + LABELS[metric][1:]
