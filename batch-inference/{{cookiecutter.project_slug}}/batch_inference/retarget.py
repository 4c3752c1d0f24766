"""Production's pipeline definition, made from the one that staging has proven: by declared substitutions.

Nothing is built a second time. What differs between the two environments is declared, name by name; each
substitution must find what it replaces, and nothing of staging may be left in the end.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from configuration import UserError
from release.environments import PRODUCTION, STAGING

from . import requests
from .config import Environment, Settings
from .requests import Target, target


class Substitution(NamedTuple):
    """One thing that is different in production.

    Attributes:
        what: its name, for a person.
        at: `Step.Key.Key` in the definition, or in a list the value itself; None: wherever the text stands.
        staging, production: the values; None: the key is not there.
    """

    what: str
    at: str | None
    staging: Any
    production: Any


def substitutions(settings: Settings) -> list[Substitution]:
    """What is different in production, those that change nothing included."""
    staging, production = target(settings, STAGING), target(settings, PRODUCTION)
    names = [name for name in Target._fields if name != "environment"]
    found = [Substitution(name, None, getattr(staging, name), getattr(production, name)) for name in names]
    ours = _places(settings.transform.staging, staging)
    theirs = _places(settings.transform.production, production)
    # lists hold arguments: where one stands is where its value is
    return found + [Substitution(what, at, ours[what, at], theirs[what, at]) for what, at in ours]


def to_json(changes: Sequence[Substitution]) -> str:
    """The declared substitutions as a file, for people and for the build that deploys production."""
    return json.dumps([change._asdict() for change in changes], indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, where: str) -> list[Substitution]:
    """The substitutions in a file.

    Raises:
        UserError: it holds something else.
    """
    try:
        return [Substitution(**entry) for entry in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: expected the substitutions that staging's build wrote: {error}") from None


def retarget(definition: str, changes: Sequence[Substitution]) -> str:
    """The definition for production.

    Args:
        definition: staging's, as JSON text.
        changes: what is different.

    Raises:
        UserError: a substitution does not find what it replaces, or something of staging is left.
    """
    document = json.loads(definition)
    steps = {step["Name"]: step["Arguments"] for step in _steps(document["Steps"])}
    for change in changes:
        if change.at is not None:
            _set(steps, change)
    texts = {
        change.staging: change.production
        for change in changes
        if change.at is None and change.staging != change.production
    }
    document = _replaced(document, texts)
    left = leftovers(document, changes)
    if left:
        raise UserError(
            "\n".join(["production's definition: expected nothing of staging in it, found:", *left])
        )
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def leftovers(document: Any, changes: Sequence[Substitution]) -> list[str]:
    """What of staging a document still holds: `where: text (what it is)`."""
    signs = {
        change.staging: change.what
        for change in changes
        if change.at is None and change.staging != change.production
    }
    # whatever else is called like what is deployed to staging
    named = re.compile(rf"(?:arn:|s3://).*(?<![A-Za-z0-9]){STAGING}(?![A-Za-z0-9])")
    # one name may begin like another: what is production's by its whole length is not staging's
    wanted = sorted((change.production for change in changes if change.at is None), key=len, reverse=True)
    found = []
    for where, text in _texts(document, ""):
        rest = text
        for name in wanted:
            rest = rest.replace(name, "")
        what = next((what for sign, what in signs.items() if sign in rest), None)
        if what is None and named.match(text):
            what = "the name of the environment"
        if what is not None:
            found.append(f"  {where}: {text} ({what})")
    return found


def _places(machines: Environment, at: Target) -> dict[tuple[str, str], Any]:
    """(what, where) -> value, of what config/transform.yaml says of one environment's machines."""
    transform, processing = machines.transform, machines.processing
    resources, client = "Transform.TransformResources", "Transform.ModelClientConfig"
    found: dict[tuple[str, str], Any] = {
        ("transform.instance_type", f"{resources}.InstanceType"): transform.instance_type,
        ("transform.instance_count", f"{resources}.InstanceCount"): transform.instance_count,
        ("transform.max_concurrent_transforms", "Transform.MaxConcurrentTransforms"): (
            transform.max_concurrent_transforms
        ),
        ("transform.max_payload_mb", "Transform.MaxPayloadInMB"): transform.max_payload_mb,
        ("transform.strategy", "Transform.BatchStrategy"): requests.strategy(transform),
        ("transform.split", "Transform.TransformInput.SplitType"): transform.split,
        ("transform.join", "Transform.DataProcessing"): requests.data_processing(transform),
        ("transform.timeout_seconds", f"{client}.InvocationsTimeoutInSeconds"): transform.timeout_seconds,
        ("transform.max_retries", f"{client}.InvocationsMaxRetries"): transform.max_retries,
        ("transform.environment", "CreateModel.PrimaryContainer.Environment"): (
            requests.container_environment(transform)
        ),
        ("transform.instance_type (key)", f"{resources}.VolumeKmsKeyId"): _volume_key(
            transform.instance_type, at
        ),
        ("environment (tag)", "CreateModel.Tags[environment]"): at.environment,
        ("environment (tag)", "Transform.Tags[environment]"): at.environment,
    }
    for step in ("Normalise", "Answer", "AnswerNoText"):
        cluster = f"{step}.ProcessingResources.ClusterConfig"
        found |= {
            ("environment (tag)", f"{step}.Tags[environment]"): at.environment,
            ("processing.instance_type", f"{cluster}.InstanceType"): processing.instance_type,
            ("processing.instance_type (key)", f"{cluster}.VolumeKmsKeyId"): _volume_key(
                processing.instance_type, at
            ),
            ("processing.volume_gb", f"{cluster}.VolumeSizeInGB"): processing.volume_gb,
            ("processing.max_runtime_minutes", f"{step}.StoppingCondition.MaxRuntimeInSeconds"): (
                processing.max_runtime_minutes * 60
            ),
        }
        told = requests.normalise_machines if step == "Normalise" else requests.answer_machines
        for name, value in told(transform).items():
            place = f"{step}.AppSpecification.ContainerArguments[--{name}]"
            found[f"transform.{name}", place] = requests.argument(name, value)
    return found


def _volume_key(instance_type: str, at: Target) -> str | None:
    return requests.volume_key(instance_type, at.key_arn).get("VolumeKmsKeyId")


def _set(steps: dict[str, Any], change: Substitution) -> None:
    """Puts production's value where staging's stands."""
    assert change.at is not None
    *parents, last = change.at.split(".")
    place: Any = steps
    for key in parents:
        place = place.get(key) if isinstance(place, dict) else None
    name, _, entry = last.removesuffix("]").partition("[")
    if entry and isinstance(place, dict):
        place = place.get(name)
        index = _index(place, entry, change.staging)
        if index is not None:
            if isinstance(place[index], dict):
                place[index]["Value"] = change.production
            else:
                place[index] = change.production
            return
    elif isinstance(place, dict) and place.get(last) == change.staging:
        if change.production is None:
            place.pop(last, None)
        else:
            place[last] = change.production
        return
    got = place.get(last) if isinstance(place, dict) else place
    raise UserError(
        f"staging's definition: {change.at}: expected {change.staging!r} ({change.what}), got {got!r}; "
        "push again, so that staging's build writes it anew"
    )


def _index(entries: Any, name: str, value: Any) -> int | None:
    """Where in a list a tag of this name and value is, or an argument."""
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if entry == value or (
            isinstance(entry, dict) and (entry.get("Key"), entry.get("Value")) == (name, value)
        ):
            return index
    return None


def _steps(steps: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        if step["Type"] == "Condition":
            yield from _steps(step["Arguments"]["IfSteps"])
            yield from _steps(step["Arguments"]["ElseSteps"])


def _replaced(value: Any, texts: dict[str, str]) -> Any:
    """The value with all texts replaced at once, the longest first: nothing is replaced twice."""
    if not texts:
        return value
    pattern = re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))

    def walk(part: Any) -> Any:
        if isinstance(part, str):
            return pattern.sub(lambda match: texts[match.group()], part)
        if isinstance(part, dict):
            return {key: walk(inner) for key, inner in part.items()}
        return [walk(inner) for inner in part] if isinstance(part, list) else part

    return walk(value)


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a document, and where it is."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            name = inner.get("Name", index) if isinstance(inner, dict) else index
            yield from _texts(inner, f"{where}[{name}]")
