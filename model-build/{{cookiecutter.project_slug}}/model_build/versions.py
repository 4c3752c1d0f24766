"""A version as people see it: what was measured, how it compares with the live one, and their decision.

What is shown was measured when the version was trained (steps/evaluate.py); nothing is measured here.
"""

import getpass
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from configuration import UserError
from configuration.command_line import agreed
from evaluation.metrics import LABELS, PLACES, gain, names

from . import aws, registry
from .assets import split_uri
from .aws import Clients
from .config import Settings
from .registry import APPROVED, PENDING, REJECTED, WORDS, Version

LONGEST = 1024  # characters of an ApprovalDescription
_CLASSES = 5  # shown of the losses, and of the gains
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


def compare(settings: Settings, clients: Clients, number: int | None) -> int:
    """Show a version beside the live one; the exit status."""
    project = settings.project
    version = registry.find(project, clients.sagemaker, number)
    show(settings, clients, version)
    return 0


def approve(
    settings: Settings, clients: Clients, number: int | None, *, who: str, comment: str, yes: bool
) -> int:
    """Show a version, say what follows, ask, approve it; the exit status."""
    version = registry.find(settings.project, clients.sagemaker, number)
    _refuse_to_approve(version, registry.approved(settings.project, clients.sagemaker))
    show(settings, clients, version)
    print(
        f"\nApproving version {version.number} starts the deployment of every repository that follows this "
        "group: staging first, proven there; production asks again."
    )
    if not agreed(f"Approve version {version.number}? [y/N] ", yes=yes):
        return 1
    _decide(clients.sagemaker, version, APPROVED, who, comment)
    return 0


def reject(
    settings: Settings, clients: Clients, number: int | None, *, who: str, reason: str, yes: bool
) -> int:
    """Show a version, say what follows, ask, reject it; the exit status."""
    version = registry.find(settings.project, clients.sagemaker, number)
    if version.status == REJECTED:
        raise UserError(
            f"version {version.number} is rejected already: {version.decision or 'no reason was given'}"
        )
    show(settings, clients, version)
    print(f"\n{_what_rejecting_does(version, registry.approved(settings.project, clients.sagemaker))}")
    if not agreed(f"Reject version {version.number} ({reason})? [y/N] ", yes=yes):
        return 1
    _decide(clients.sagemaker, version, REJECTED, who, reason)
    return 0


def show(settings: Settings, clients: Clients, version: Version) -> None:
    """Print what is known about a version, and where its report is."""
    live = next(iter(registry.approved(settings.project, clients.sagemaker)), None)
    evaluation = aws.read_json(clients.s3, version.evaluation_uri) if version.evaluation_uri else None
    print("\n".join(beside(version, evaluation, live)))
    report = _fetch_report(settings.root, clients.s3, version)
    print(f"\nReport: {report or 'not there any more'}")


def this_user() -> str:
    """Who decides in a sandbox, which knows no people: the user of this machine."""
    return f"{getpass.getuser()}, in the sandbox"


def description(status: str, who: str, reason: str) -> str:
    """What ApprovalDescription keeps: the decision, who, when (UTC), and why; on one line."""
    text = f"{status} by {who} at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    why = " ".join(reason.split())
    return (f"{text}: {why}" if why else text)[:LONGEST]


def _decide(sagemaker: Any, version: Version, status: str, who: str, reason: str) -> None:
    text = description(status, who, reason)
    with aws.explained(f"version {version.number}"):
        sagemaker.update_model_package(
            ModelPackageArn=version.arn, ModelApprovalStatus=status, ApprovalDescription=text
        )
    print(f"version {version.number}: {text}")


def _refuse_to_approve(version: Version, approved: list[int]) -> None:
    """Stop where approving makes no sense.

    Raises:
        UserError: with what to do instead.
    """
    if version.status == APPROVED:
        raise UserError(f"version {version.number} is approved already. {version.decision}".strip())
    if version.described["ModelPackageStatus"] != "Completed":
        raise UserError(
            f"version {version.number}: expected the status Completed, got "
            f"{version.described['ModelPackageStatus']}: SageMaker could not make it; train again"
        )
    newer = [number for number in approved if number > version.number]
    if newer:
        reject = ", then ".join(f"`make reject ARGS='{number} --reason …'`" for number in newer)
        raise UserError(
            f"version {version.number} would not become live: version {newer[0]} is approved and newer. "
            f"To go back to {version.number}: {reject}, then approve it"
        )


def _what_rejecting_does(version: Version, approved: list[int]) -> str:
    if version.status == PENDING:
        return f"Version {version.number} waits for approval: rejecting it changes nothing that is live."
    if version.number != approved[0]:
        return (
            f"Version {version.number} is not live (version {approved[0]} is): rejecting it deploys nothing."
        )
    others = [number for number in approved if number != version.number]
    if others:
        return (
            f"Version {version.number} is live: rejecting it brings version {others[0]} back, in staging at "
            "once, in production when somebody agrees there."
        )
    return (
        f"Version {version.number} is live and no other is approved: rejecting it takes nothing down. It "
        "serves on, and an alarm says so until a version is approved or the deployment is switched off."
    )


def _fetch_report(root: Path, s3: Any, version: Version) -> Path | None:
    """Bring report.html to this machine, where a browser opens it; None if it is not there any more."""
    uri = version.metadata.get("report_uri")
    if not uri:
        return None
    content = aws.read(s3, uri)
    if content is None:
        return None
    target = report_folder(root, version.execution_arn or f"version-{version.number}") / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target.relative_to(root) if target.is_relative_to(root) else target
