"""A configuration file as checked data; every problem becomes a line `file: key: expected …, got …`."""

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

# pydantic's error types -> what was expected, in the reader's words
_EXPECTED = {
    "missing": "a value",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "too_short": "at least {min_length} entry",
    "too_long": "at most {max_length} entries",
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} characters",
    "literal_error": "one of {expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "multiple_of": "a multiple of {multiple_of:g}",
}

_M = TypeVar("_M", bound=BaseModel)


class Section(BaseModel):
    """A mapping in a configuration file: unknown keys are refused, values are not changed later.

    A docstring below a key is its description in the JSON Schema, which editors show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice: PyYAML keeps the last in silence."""


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if key_node.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key_node.value}: expected this key once, got it twice", key_node.start_mark
            )
        seen.add(key_node.value)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def read(
    root: Path, name: str, model: type[_M], problems: list[str], meanings: Mapping[str, str]
) -> _M | None:
    """The file `name` below `root` as a checked model, or None with its problems added to `problems`.

    Args:
        root: the repository's top folder.
        name: the file's path in it, as problems show it.
        model: what the file is to hold.
        problems: gets a line for each problem.
        meanings: key -> what its pattern means; the pattern itself helps nobody.
    """
    path = root / name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.append(
            f"{name}: expected this file in {root}, found none; run this in the repository's top folder"
        )
        return None
    except UnicodeDecodeError as error:
        problems.append(f"{name}: expected UTF-8 text, got byte {error.start} that is not; save it as UTF-8")
        return None
    try:
        content = yaml.load(text, Loader=_Loader)  # a SafeLoader: builds plain data only
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        problems.append(f"{name}: {where}: {error.problem}")
        return None
    if not isinstance(content, dict):
        problems.append(f"{name}: expected a mapping of keys to values, got {_show(content)}")
        return None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems += [f"{name}: {problem}" for problem in _explain(error, model, meanings)]
        return None


def json_schema(model: type[BaseModel]) -> str:
    """The JSON Schema of a configuration file, which editors use to complete and check keys."""
    return json.dumps(model.model_json_schema(), indent=2) + "\n"


def _explain(error: ValidationError, model: type[BaseModel], meanings: Mapping[str, str]) -> Iterator[str]:
    for details in error.errors():
        key = ".".join(_parts(details))
        if details["type"] == "extra_forbidden":
            yield f"{key}: unknown key{_suggestion(details, model)}"
        elif details["type"] == "value_error":
            reason = str(details["ctx"]["error"])
            if ": expected" in reason:
                yield f"{key}.{reason}" if key else reason
            else:
                yield f"{key}: expected {reason}, got {_show(details['input'])}"
        elif details["type"] == "missing":
            yield f"{key}: expected {_expected(details, meanings)}, found none"
        else:
            yield f"{key}: expected {_expected(details, meanings)}, got {_show(details['input'])}"


def _parts(details: ErrorDetails) -> list[str]:
    """Where the problem is, key by key, without pydantic's own remarks, which are in brackets."""
    return [part for part in map(str, details["loc"]) if not part.startswith("[")]


def _expected(details: ErrorDetails, meanings: Mapping[str, str]) -> str:
    names = [part for part in _parts(details) if not part.isdecimal()]
    if details["loc"][-1] == "[key]":  # the name of an entry: what names are like is the mapping's to say
        names.pop()
    if details["type"] == "string_pattern_mismatch" or (
        details["type"] == "string_type" and names[-1] in meanings
    ):
        return meanings.get(names[-1], "another form")
    template = _EXPECTED.get(details["type"])
    return template.format(**details.get("ctx", {})) if template else details["msg"]


def _suggestion(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Names the key that was probably meant, else the keys that exist there."""
    *parents, wrong = details["loc"]
    for parent in parents:
        # an entry of a list or of a mapping with free names: the type of the whole has led to its model
        if isinstance(parent, int) or parent not in model.model_fields:
            continue
        inner = _model_in(model.model_fields[parent].annotation)
        if inner is None:
            return ""
        model = inner
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(known)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation such as `Model | None` or `list[Model]` holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
