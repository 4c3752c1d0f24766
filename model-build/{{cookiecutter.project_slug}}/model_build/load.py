"""Reads the configuration files and turns every problem into `file: key: expected …, got …`."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .config import ModelConfig, ProjectConfig, Settings
from .errors import ConfigError

PROJECT_FILE = "config/project.yaml"
MODEL_FILE = "config/model.yaml"
SCHEMA_FILE = "config/model.schema.json"

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
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} characters",
    "literal_error": "one of {expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
}

# What a pattern means; the pattern itself helps nobody.
_PATTERNS = {
    "instance_type": "an instance type such as ml.m5.xlarge",
    "schedule": "cron(minutes hours day month weekday year) or rate(7 days), or null",
    "kms_key_arn": "the ARN of a KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID), or null",
    "execution_role_arn": "the ARN of an IAM role, or null",
    "shared_services": "an AWS account id: 12 digits in quotes",
    "production": "an AWS account id: 12 digits in quotes",
    "slug": "lower-case letters, digits and single hyphens, beginning with a letter",
    "prefix": "lower-case letters, digits and single hyphens, beginning with a letter",
    "region": "an AWS region such as ca-central-1",
    "bucket": "an S3 bucket name: 3 to 63 lower-case letters, digits and hyphens",
    "url": "an https:// address",
    "owner_email": "an e-mail address",
    "subnets": "subnet ids such as subnet-0abc1234",
    "security_group_ids": "security group ids such as sg-0abc1234",
}


_M = TypeVar("_M", bound=BaseModel)


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


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    project = _load_file(root, PROJECT_FILE, ProjectConfig, problems)
    model = _load_file(root, MODEL_FILE, ModelConfig, problems)
    if project is None or model is None:
        raise ConfigError(problems)
    return Settings(root=root, project=project, model=model)


def json_schema() -> str:
    """The JSON Schema of `config/model.yaml`, which editors use to complete and check keys."""
    return json.dumps(ModelConfig.model_json_schema(), indent=2) + "\n"


def _load_file(root: Path, name: str, model: type[_M], problems: list[str]) -> _M | None:
    """The file as a checked model, or None with its problems added to `problems`."""
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
        problems += [f"{name}: {problem}" for problem in _explain(error, model)]
        return None


def _explain(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for details in error.errors():
        key = ".".join(str(part) for part in details["loc"] if part != "[key]")
        if details["type"] == "extra_forbidden":
            yield f"{key}: unknown key{_suggestion(details, model)}"
        elif details["type"] == "value_error":
            reason = str(details["ctx"]["error"])
            if ": expected" in reason or reason.startswith("train + "):
                yield f"{key}.{reason}" if key else reason
            else:
                yield f"{key}: expected {reason}, got {_show(details['input'])}"
        elif details["type"] == "missing":
            yield f"{key}: expected {_expected(details)}, found none"
        else:
            yield f"{key}: expected {_expected(details)}, got {_show(details['input'])}"


def _expected(details: ErrorDetails) -> str:
    names = [str(part) for part in details["loc"] if not isinstance(part, int)]
    if details["type"] == "string_pattern_mismatch" or (
        details["type"] == "string_type" and names[-1] in _PATTERNS
    ):
        return _PATTERNS.get(names[-1], "another form")
    template = _EXPECTED.get(details["type"])
    return template.format(**details.get("ctx", {})) if template else details["msg"]


def _suggestion(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Names the key that was probably meant, else the keys that exist there."""
    *parents, wrong = details["loc"]
    for parent in parents:
        field = model.model_fields.get(str(parent))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        model = annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(str(wrong), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(known)}"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
