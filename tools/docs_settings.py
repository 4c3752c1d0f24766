"""The pages of every key in config/: read from the pydantic models that check the files.

Descriptions are the docstrings below the keys, and limits the models' own.
"""

from __future__ import annotations

import importlib
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from generated import repository
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

# A repository's packages that a file's model is made of, and those of its steps: others have such names.
_OWN = (
    *("configuration", "release", "model_build", "serverless_inference", "batch_inference"),
    *("data", "evaluation", "failure", "packing", "report", "serving", "training"),
)


@dataclass(frozen=True)
class File:
    """A configuration file and the model that checks it."""

    name: str
    template: str
    module: str
    model: str
    intro: str


FILES = (
    File(
        "config/model.yaml",
        "model-build",
        "model_build.config",
        "ModelConfig",
        "What to learn, from what, and how good is good enough: the file that a data scientist edits.",
    ),
    File(
        "config/endpoint.yaml",
        "serverless-inference",
        "serverless_inference.config",
        "EndpointConfig",
        "Which model is served, how much of it, and what it has to answer before it counts.",
    ),
    File(
        "config/transform.yaml",
        "batch-inference",
        "batch_inference.config",
        "TransformConfig",
        "Which files are answered, on what, and how the answers look.",
    ),
    File(
        "config/project.yaml",
        "model-build",
        "model_build.config",
        "ProjectConfig",
        "Who and where. Written by cookiecutter, read by Python and by Terraform. The other templates have "
        "the same keys but for `network` and `execution_role_arn`.",
    ),
)


@dataclass(frozen=True)
class Key:
    """One line of a page."""

    path: str
    type: str
    default: str
    limits: str
    meaning: str


def models() -> dict[str, type[BaseModel]]:
    """File name -> its model."""
    return {file.name: _load(file)[0] for file in FILES}


def meanings(file: File) -> dict[str, str]:
    """Key -> what its pattern means, in words."""
    return _load(file)[1]


@cache
def _load(file: File) -> tuple[type[BaseModel], dict[str, str]]:
    """The model of a file and the meanings of its patterns, imported from a generated repository.

    Nothing is left that another import would find: another template's module may have the same name.
    """
    folder = str(repository(file.template))
    before = dict(sys.modules)
    for name in [name for name in before if name.partition(".")[0] in _OWN]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    try:
        model = getattr(importlib.import_module(file.module), file.model)
        words: dict[str, str] = importlib.import_module("configuration.project").MEANINGS
    finally:
        sys.path.remove(folder)
        for name, loaded in list(sys.modules.items()):
            if (getattr(loaded, "__file__", None) or "").startswith(folder):
                del sys.modules[name]
        sys.modules.update(before)
    return model, words


def keys(model: type[BaseModel], words: dict[str, str], above: str = "") -> Iterator[Key]:
    """Every key of a file, each mapping's before what follows it."""
    for name, field in model.model_fields.items():
        path = f"{above}{name}"
        inner, suffix = _inner(field.annotation)
        meaning = field.description or (inner.__doc__ or "" if inner else "")
        yield Key(path, _type(field.annotation), _default(field), _limits(name, field, words), _line(meaning))
        if inner is not None:
            yield from keys(inner, words, f"{path}{suffix}.")


def undescribed() -> list[str]:
    """Keys that say nowhere what they mean."""
    known = models()
    return [
        f"{file.name}: {key.path}"
        for file in FILES
        for key in keys(known[file.name], meanings(file))
        if not key.meaning
    ]


def page(file: File) -> str:
    """One file's page."""
    model = models()[file.name]
    lines = [
        f"# {file.name}",
        "",
        file.intro,
        "",
        "Generated from the model that `make check` reads the file with. **required**: no default. `[…]`:",
        "each entry of a list; `<name>`: a name of your own.",
        "",
    ]
    groups: dict[str, list[Key]] = {}
    for key in keys(model, meanings(file)):
        groups.setdefault(re.split(r"[.\[]", key.path)[0], []).append(key)
    plain = [group[0] for group in groups.values() if len(group) == 1]
    if plain:
        lines += _table(plain)
    tables: dict[tuple[str, ...], list[Key]] = {}
    for name, group in groups.items():
        if len(group) > 1:
            tables.setdefault(tuple(_table(group[1:], drop=name)), []).append(group[0])
    for table, mappings in tables.items():  # staging and production have the same keys
        said = [
            f"{key.meaning}" if len(mappings) == 1 else f"`{key.path}`: {key.meaning}" for key in mappings
        ]
        lines += ["", f"## {', '.join(key.path for key in mappings)}", "", "  \n".join(said), "", *table]
    return "\n".join(lines) + "\n"


def _table(rows: list[Key], drop: str = "") -> list[str]:
    lines = ["| key | type | default | limits | meaning |", "| --- | --- | --- | --- | --- |"]
    for key in rows:
        path = key.path.removeprefix(f"{drop}.")
        default = "**required**" if key.default == "" else f"`{key.default}`"
        cells = (f"`{path}`", key.type, default, key.limits, key.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The mapping that a key holds, and how its keys are reached: `.`, `[…].`, `.<name>.`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _inner(arguments[0])
    if origin is list:
        return _inner(arguments[0])[0], "[…]"
    if origin is dict:
        found, suffix = _inner(arguments[1])
        return found, f".<{_key_name(arguments[0])}>{suffix}"
    if origin in (Union, types.UnionType):
        return next((inner for each in arguments if (inner := _inner(each))[0]), (None, ""))
    return None, ""


def _key_name(annotation: Any) -> str:
    return "metric" if get_origin(annotation) is Literal else "name"


def _type(annotation: Any) -> str:
    """A type in a reader's words."""
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is list:
        inner = _type(arguments[0])
        return f"list of {inner}s" if inner == "mapping" else f"list of {inner}"
    if origin is dict:
        return "mapping"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type(each) for each in arguments))
    return {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}.get(annotation, "any")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return "as below"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("'", "")


def _limits(name: str, field: FieldInfo, words: dict[str, str]) -> str:
    """What the models bound: numbers, lengths, forms."""
    bounds: dict[str, Any] = {}
    for constraint in _constraints(field.annotation, list(field.metadata)):
        for kind in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern"):
            value = getattr(constraint, kind, None)
            if value is not None:
                bounds.setdefault(kind, value)
    said = []
    if "ge" in bounds and "le" in bounds:
        said.append(f"{bounds['ge']:g} to {_number(bounds['le'])}")
    else:
        words_of = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
        said += [f"{word} {_number(bounds[kind])}" for kind, word in words_of.items() if kind in bounds]
    if "pattern" in bounds:
        said.append(words.get(name) or f"`{bounds['pattern']}`")
    if bounds.get("min_length", 0) > 1:
        said.append(f"at least {bounds['min_length']} long")
    elif "min_length" in bounds and "pattern" not in bounds:
        said.append("not empty")
    if "max_length" in bounds:
        said.append(f"at most {bounds['max_length']} long")
    return ", ".join(said)


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 100_000 else f"{int(value)}"


def _constraints(annotation: Any, found: list[Any]) -> Iterator[Any]:
    """Constraints of a key, also those within `… | None` and FieldInfo."""
    for one in found:
        if isinstance(one, FieldInfo):
            yield from one.metadata
        else:
            yield one
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _constraints(arguments[0], list(arguments[1:]))
    elif origin in (Union, types.UnionType):
        for each in arguments:
            yield from _constraints(each, [])


def _line(text: str) -> str:
    return " ".join(text.split())
