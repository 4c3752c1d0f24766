"""What the execution is about, as its first step wrote it to ``request.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from failure import StepError

NAME = "request.json"
VERSION = 1
FORMATS = ("csv", "jsonl")
_KINDS = {"str": (str, "text"), "int": (int, "a whole number"), "bool": (bool, "true or false")}


@dataclass(frozen=True)
class Request:
    """The part of it that the steps need.

    Attributes:
        bucket: of the file that was put under ``input/``.
        key: of that file; messages call the file by it.
        version_id: of that file.
        execution_id: of the pipeline.
        model_package_arn: the model that answers.
        model_package_version: its number in the model package group.
        format: ``csv`` or ``jsonl``.
        gzip: whether the source is packed.
        source: name of the copy of the file.
        result: name of the file with the answers.
        result_key: where in the bucket that will be.
    """

    bucket: str
    key: str
    version_id: str
    execution_id: str
    model_package_arn: str
    model_package_version: int
    format: str
    gzip: bool
    source: str
    result: str
    result_key: str


def read_request(folder: Path) -> Request:
    """Read it.

    Raises:
        StepError: it is not what the steps know; the message names the key.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StepError(f"{path}: expected JSON: {error}") from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        found = content.get("version") if isinstance(content, dict) else content
        raise StepError(f"{path}: expected version {VERSION}, got {found!r}: start the execution again")
    given: dict[str, Any] = {}
    for field in fields(Request):
        value = content.get(field.name)
        kind, words = _KINDS[str(field.type)]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise StepError(f"{path}: {field.name}: expected {words}, got {value!r}")
        given[field.name] = value
    if given["format"] not in FORMATS:
        raise StepError(f"{path}: format: expected {' or '.join(FORMATS)}, got {given['format']!r}")
    return Request(**given)
