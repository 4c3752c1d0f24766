"""Entry conditions of stages: rules that let an execution in, fail the stage or skip it.

[read] in "How do stage conditions work?", "Configure conditions for a stage" and "VariableCheck". A stage
has at most one entry condition; it holds while all of its rules do, else its result FAIL or SKIP is engaged.
Of the providers of rules the sandbox has VariableCheck. The rules are looked at when the stage is free, before
any action.

Not documented is what becomes of a rule whose variable nobody has made (its action was in a skipped stage,
or the build did not export it). Here the condition counts as Errored and the stage fails, also with the
result SKIP, so that a misspelt name does not pass for a decision.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlops_workbench.sandbox.delivery import variables
from mlops_workbench.sandbox.delivery.executions import (
    FAILED,
    IN_PROGRESS,
    SKIPPED,
    SUCCEEDED,
    Execution,
    RuleRun,
    StageRun,
)
from mlops_workbench.sandbox.delivery.structure_error import StructureError
from mlops_workbench.sandbox.delivery.variables import UnknownVariable
from mlops_workbench.sandbox.gate import STATE

_ERRORED = "Errored"
_RESULTS = {"FAIL": FAILED, "SKIP": SKIPPED}
_OPERATORS = ("EQ", "NE", "CONTAINS", "MATCHES")
_CONFIGURATION = ("Operator", "Value", "Variable")
_MOST_RULES = 5


def check(pipeline: Mapping[str, Any], stage: Mapping[str, Any], where: str) -> None:
    """Check the entry condition of a stage's declaration.

    Raises:
        StructureError: the service would not accept it, or the sandbox has no such rule.
    """
    if not stage.get("beforeEntry"):
        return
    where = f"{where}: beforeEntry"
    if (pipeline.get("pipelineType") or "V1") != "V2":
        raise StructureError(f"{where}: expected a pipeline of type V2")
    conditions = stage["beforeEntry"].get("conditions") or []
    if len(conditions) != 1:
        raise StructureError(f"{where}: expected one condition, got {len(conditions)}")
    (condition,) = conditions
    if condition.get("result") not in _RESULTS:
        raise StructureError(f"{where}: result: expected FAIL or SKIP, got {condition.get('result')}")
    rules = condition.get("rules") or []
    if not 1 <= len(rules) <= _MOST_RULES:
        raise StructureError(f"{where}: expected 1 to {_MOST_RULES} rules, got {len(rules)}")
    names = [rule["name"] for rule in rules]
    for rule in rules:
        if names.count(rule["name"]) > 1:
            raise StructureError(f"{where}: rule {rule['name']}: expected a name of its own, got it twice")
        _check_rule(rule, f"{where}: rule {rule['name']}")


def _check_rule(rule: Mapping[str, Any], where: str) -> None:
    kind = rule["ruleTypeId"]
    if (kind["provider"], kind.get("owner") or "AWS", kind.get("version") or "1") != (
        "VariableCheck",
        "AWS",
        "1",
    ):
        raise StructureError(
            f"{where}: the sandbox evaluates VariableCheck, owner AWS, version 1; got {kind['provider']}, "
            f"owner {kind.get('owner')}, version {kind.get('version')}"
        )
    given = rule.get("configuration") or {}
    if sorted(given) != list(_CONFIGURATION):
        found = ", ".join(sorted(given)) or "none"
        raise StructureError(f"{where}: configuration: expected Variable, Value and Operator, got {found}")
    if given["Operator"] not in _OPERATORS:
        raise StructureError(
            f"{where}: configuration: Operator: expected {', '.join(_OPERATORS)}, got {given['Operator']!r}"
        )
    for key in ("commands", "inputArtifacts"):
        if rule.get(key):
            raise StructureError(f"{where}: {key}: VariableCheck takes none")


def enter(execution: Execution, declaration: Mapping[str, Any], stage: StageRun) -> str:
    """Return Succeeded when an execution may enter a stage, else Failed or Skipped: the stage's status.

    What the rules found is in the stage's record.
    """
    conditions = (declaration.get("beforeEntry") or {}).get("conditions") or []
    if not conditions:
        return SUCCEEDED
    (condition,) = conditions
    with STATE.changing():
        stage.condition, stage.condition_summary = IN_PROGRESS, ""
    # All rules run, also after one that fails: "an ordered set of rules that are evaluated together".
    runs = [_run_rule(execution, stage, rule) for rule in condition["rules"]]
    failed = [run for run in runs if run.status != SUCCEEDED]
    broken = any(run.error for run in failed)
    with STATE.changing():
        stage.condition = _ERRORED if broken else FAILED if failed else SUCCEEDED
        stage.condition_summary = "; ".join(f"{run.name}: {run.summary}" for run in failed)
    if broken:
        return FAILED
    return _RESULTS[condition["result"]] if failed else SUCCEEDED


def holds(operator: str, variable: str, value: str) -> bool:
    """Tell whether a variable's text passes a check.

    MATCHES asks for the whole text, as Java's ``matches`` does. The service's regular expressions are Java's;
    Python's are near enough for names, versions and choices.

    Raises:
        re.error: MATCHES with what is no regular expression.
    """
    match operator:
        case "EQ":
            return variable == value
        case "NE":
            return variable != value
        case "CONTAINS":
            return value in variable
        case _:
            return re.fullmatch(value, variable) is not None


def _run_rule(execution: Execution, stage: StageRun, declaration: Mapping[str, Any]) -> RuleRun:
    configuration = {key: str(value) for key, value in declaration["configuration"].items()}
    run = RuleRun(
        stage=stage.name,
        name=declaration["name"],
        type_id=dict(declaration["ruleTypeId"]),
        region=declaration.get("region") or execution.region,
        configuration=configuration,
        resolved=configuration,
    )
    with STATE.changing():
        stage.rules.append(run)
    try:
        resolved = variables.resolve(configuration, execution)
        found, operator, wanted = (resolved[key] for key in ("Variable", "Operator", "Value"))
        passed = holds(operator, found, wanted)
    except (UnknownVariable, re.error) as error:
        message = str(error)
        run.update(status=FAILED, summary=message, error={"code": "ConfigurationError", "message": message})
        return run
    summary = f"{configuration['Variable']} is {found!r}; expected {operator} {wanted!r}"
    run.update(status=SUCCEEDED if passed else FAILED, summary=summary, resolved=resolved)
    return run
