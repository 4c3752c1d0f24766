"""Where fine-tuning starts: turns `model.base` into a folder, an S3 prefix or a hub id."""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from configuration.errors import UserError

from .config import is_s3

_PACKAGE = "package:"
_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
_KEY = "config/model.yaml: model.base"


@dataclass(frozen=True)
class BaseModel:
    """Exactly one of the three is set."""

    folder: Path | None = None
    s3_uri: str | None = None
    hub_id: str | None = None


def resolve(base: str, root: Path) -> BaseModel:
    """Find the base model that `base` names; paths are relative to `root`.

    Raises:
        UserError: nothing usable there; the message says what was expected.
    """
    if is_s3(base):
        return BaseModel(s3_uri=base.rstrip("/"))
    if base.startswith(_PACKAGE):
        return BaseModel(folder=_folder_in_package(base.removeprefix(_PACKAGE)))
    folder = root / base
    if folder.is_dir():
        if not _holds_model(folder):
            found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing in it"
            raise UserError(
                f"{_KEY}: expected a folder with config.json and weights, got {base} with {found}"
            )
        return BaseModel(folder=folder)
    if base.startswith((".", "/", "~")) or not _HUB_ID.match(base):
        raise UserError(
            f"{_KEY}: expected package:NAME, a hub id, s3://… or a folder, got {base!r} (not found)"
        )
    return BaseModel(hub_id=base)


def _folder_in_package(name: str) -> Path:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"{_KEY}: the Python package {name!r} is not installed; "
            "add it to requirements/base-model.txt and run `make setup`"
        )
    package = Path(spec.submodule_search_locations[0])
    folders = sorted(path.parent for path in package.rglob("config.json") if _holds_model(path.parent))
    if not folders:
        raise UserError(f"{_KEY}: the Python package {name!r} holds no model (config.json beside weights)")
    return folders[0]


def _holds_model(folder: Path) -> bool:
    weights = (path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern))
    return (folder / "config.json").is_file() and next(weights, None) is not None
