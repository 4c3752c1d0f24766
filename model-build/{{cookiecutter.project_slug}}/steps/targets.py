"""What a model answers: one target or several, each one label of many, or any number of them.

One encoder and one head serve all targets: the head's columns are the labels of the first target, then those
of the second, and so on. A target of kind ``one`` is answered by the softmax over its columns, one of kind
``several`` by a sigmoid in each of them.

Ships with the model, as ``code/targets.py``: it needs nothing but NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["one", "several"]
KINDS: tuple[Kind, ...] = ("one", "several")


@dataclass(frozen=True)
class Target:
    """One question that the model answers about a text.

    Attributes:
        name: as in config/model.yaml.
        kind: ``one``: exactly one of the labels; ``several``: any number of them, also none.
        labels: names, in the order of their ids and of the head's columns.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the target as labels.json and serving.json hold it."""
        return {"name": self.name, "kind": self.kind, "labels": list(self.labels)}


def from_json(content: Any) -> tuple[Target, ...]:
    """Return the targets that labels.json or serving.json lists; keys of other purpose are left alone.

    Raises:
        ValueError: there is none, one has too few labels, or a name or label is there twice.
    """
    targets = tuple(Target(str(each["name"]), each["kind"], tuple(each["labels"])) for each in content)
    if not targets or len({target.name for target in targets}) < len(targets):
        raise ValueError(f"expected targets of different names, got {[target.name for target in targets]}")
    for target in targets:
        least = 2 if target.kind == "one" else 1
        if target.kind not in KINDS:
            raise ValueError(f"{target.name}: expected the kind one or several, got {target.kind!r}")
        if len(target.labels) < least or len(set(target.labels)) < len(target.labels):
            what = "two or more" if least == 2 else "one or more"
            raise ValueError(
                f"{target.name}: expected {what} different labels, got {list(target.labels[:10])}"
            )
    return targets


def columns_of(targets: Sequence[Target]) -> list[slice]:
    """Return each target's part of the head's columns, in order."""
    ends = np.cumsum([len(target.labels) for target in targets]).tolist()
    return [slice(end - len(target.labels), end) for target, end in zip(targets, ends, strict=True)]


def column_names(targets: Sequence[Target]) -> list[str]:
    """Return a name for each of the head's columns: the label, or with several targets ``target:label``."""
    if len(targets) == 1:
        return list(targets[0].labels)
    return [f"{target.name}:{label}" for target in targets for label in target.labels]


def field_names(targets: Sequence[Target], field: str) -> list[str]:
    """Return what each target's column is called in a table: the field, or with several ``target.field``."""
    return [field] if len(targets) == 1 else [f"{target.name}.{field}" for target in targets]


def as_columns(targets: Sequence[Target], truth: Sequence[np.ndarray]) -> np.ndarray:
    """Return the truth as the head's columns: bool of shape (rows, columns), True for each label that holds.

    Args:
        targets: of the model.
        truth: for each target ids, int64 of shape (rows,), for kind ``one``, or bool of shape (rows, labels)
            for kind ``several``.
    """
    parts = [
        truth[index][:, None] == np.arange(len(target.labels)) if target.kind == "one" else truth[index]
        for index, target in enumerate(targets)
    ]
    return np.concatenate(parts, axis=1)


def from_columns(targets: Sequence[Target], columns: np.ndarray) -> list[np.ndarray]:
    """Return the truth of each target, the reverse of ``as_columns``."""
    return [
        columns[:, part].argmax(axis=1) if target.kind == "one" else columns[:, part].astype(bool)
        for target, part in zip(targets, columns_of(targets), strict=True)
    ]
