"""The structure of a pipeline, checked as CreatePipeline checks it, and its entry conditions.

[read] in "CodePipeline pipeline structure reference" and in the action reference of each provider. What
AWS finds only when the pipeline runs (an input that no action makes) it finds here too, before anything
runs.

Entry conditions of stages are rules that let an execution in, fail the stage or skip it: [read] in "How do
stage conditions work?", "Configure conditions for a stage" and "VariableCheck". A stage has at most one
entry condition; it holds while all of its rules do, else its result FAIL or SKIP is engaged. Of the
providers of rules the sandbox has VariableCheck. The rules are looked at when the stage is free, before
any action.

Not documented is what becomes of a rule whose variable nobody has made (its action was in a skipped stage,
or the build did not export it). Here the condition counts as Errored and the stage fails, also with the
result SKIP, so that a misspelt name does not pass for a decision.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_workbench.sandbox.gate import STATE
from mlops_workbench.sandbox.services.codepipeline.records import (
    FAILED,
    IN_PROGRESS,
    SKIPPED,
    SUCCEEDED,
    Execution,
    RuleRun,
    StageRun,
)

#: The code for what CodePipeline has and the sandbox has not.
UNUSED = "ValidationException"
_REFERENCE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")
_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")
_ERRORED = "Errored"
_RESULTS = {"FAIL": FAILED, "SKIP": SKIPPED}
_OPERATORS = ("EQ", "NE", "CONTAINS", "MATCHES")
_CONFIGURATION = ("Operator", "Value", "Variable")
_MOST_RULES = 5


class StructureError(ValueError):
    """A pipeline that the service would not accept; ``code`` is the service's exception."""

    def __init__(self, message: str, code: str = "InvalidStructureException") -> None:
        super().__init__(message)
        self.code = code


class UnknownVariable(ValueError):
    """A reference to a variable that no action has made."""


def resolve(configuration: Mapping[str, str], execution: Execution) -> dict[str, str]:
    """Return an action's configuration with its references replaced.

    Raises:
        UnknownVariable: a namespace or a variable that is not there; in AWS, too, the action then fails.
    """

    def value(found: re.Match[str]) -> str:
        namespace, name = found.groups()
        known = spaces.get(namespace)
        if known is None or name not in known:
            names = ", ".join(sorted(known)) if known else "none"
            raise UnknownVariable(
                f"#{{{namespace}.{name}}}: there is no such variable; the namespace {namespace} has {names}"
            )
        return known[name]

    spaces: dict[str, Mapping[str, str]] = {
        **execution.namespaces,
        "variables": execution.variables,
        "codepipeline": {"PipelineExecutionId": execution.id},
    }
    return {key: _REFERENCE.sub(value, text) for key, text in configuration.items()}


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
    check_conditions(pipeline, stage, where)
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


def check_conditions(pipeline: Mapping[str, Any], stage: Mapping[str, Any], where: str) -> None:
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
        resolved = resolve(configuration, execution)
        found, operator, wanted = (resolved[key] for key in ("Variable", "Operator", "Value"))
        passed = holds(operator, found, wanted)
    except (UnknownVariable, re.error) as error:
        message = str(error)
        run.update(status=FAILED, summary=message, error={"code": "ConfigurationError", "message": message})
        return run
    summary = f"{configuration['Variable']} is {found!r}; expected {operator} {wanted!r}"
    run.update(status=SUCCEEDED if passed else FAILED, summary=summary, resolved=resolved)
    return run
