"""What a generated repository says of its organisation: config/project.yaml, as far as it is read here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlops_workbench.sandbox.errors import SandboxError

FILE = Path("config/project.yaml")


def read(folder: Path) -> dict[str, Any]:
    """Return the file's mapping; an empty one where there is no such file.

    Raises:
        SandboxError: it is not YAML, or no mapping.
    """
    path = folder / FILE
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SandboxError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise SandboxError(f"{path}: expected keys and values, got {type(found).__name__}")
    return found


def value(found: dict[str, Any], name: str, default: str) -> str:
    """Return a text by its dotted name, or the default where it is not there."""
    place: Any = found
    for part in name.split("."):
        place = place.get(part) if isinstance(place, dict) else None
    return place if isinstance(place, str) and place else default
