"""Says in a page what a run will do, from the definition itself."""

import json
from typing import Any

from . import live
from .config import Settings
from .definition import build, steps_of


def describe(settings: Settings) -> str:
    """The steps, their machines, the data and the conditions, as text.

    Prices are left out: they change by region and date, and no source for them is at hand.
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
    own = {name: value for name, value in built.parameters.items() if name not in live.PARAMETERS}
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
