"""Reads what a run is made from: the configuration files, the commit, the base model.

Every problem in the files is a line `file: key: expected …, got …`.
"""

import importlib.util
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from configuration import ConfigError, UserError, files
from configuration import project as projects

from .config import ModelConfig, ProjectConfig, Settings, is_s3

MODEL_FILE = "config/model.yaml"
SCHEMA_FILE = "config/model.schema.json"

UNKNOWN = "unknown"
"""The commit, where nobody knows it."""

_PROJECT_MEANINGS = {
    **projects.MEANINGS,
    "execution_role_arn": "the ARN of an IAM role, or null",
    "subnets": "subnet ids such as subnet-0abc1234",
    "security_group_ids": "security group ids such as sg-0abc1234",
}
_MODEL_MEANINGS = {
    "phone_region": "a country in two capital letters, such as CA",
    "targets": "names of small letters, digits and _, such as sentiment",
    "instance_type": "an instance type such as ml.m5.xlarge",
    "schedule": "cron(minutes hours day month weekday year) or rate(7 days), or null",
}
_PACKAGE = "package:"
_HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
_BASE = f"{MODEL_FILE}: model.base"


@dataclass(frozen=True)
class BaseModel:
    """Where fine-tuning starts; exactly one of the three is set."""

    folder: Path | None = None
    s3_uri: str | None = None
    hub_id: str | None = None


def load(root: Path) -> Settings:
    """Read both configuration files below `root`.

    Raises:
        ConfigError: with all problems of both files at once.
    """
    problems: list[str] = []
    project = files.read(root, projects.FILE, ProjectConfig, problems, _PROJECT_MEANINGS)
    model = files.read(root, MODEL_FILE, ModelConfig, problems, _MODEL_MEANINGS)
    if project is None or model is None:
        raise ConfigError(problems)
    return Settings(root=root, project=project, model=model)


def json_schema() -> str:
    """The JSON Schema of `config/model.yaml`, which editors use to complete and check keys."""
    return files.json_schema(ModelConfig)


def commit(root: Path, environment: Mapping[str, str]) -> str:
    """The commit id of `root`, with `-dirty` when tracked files were changed since.

    CodeBuild gets an archive without history: `git archive` writes the commit into the file `.commit`
    (`.gitattributes`: export-subst). `GIT_COMMIT` in the environment comes before both.
    """
    if given := environment.get("GIT_COMMIT"):
        return given
    try:
        # -C root/.git's own folder: a repository further up is somebody else's
        if not (root / ".git").exists():
            return _of_archive(root / ".commit")
        head = _git(root, "rev-parse", "HEAD")
        return f"{head}-dirty" if _git(root, "status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN


def _of_archive(file: Path) -> str:
    """The commit that `git archive` wrote; unknown when nobody put one in the place of the format."""
    text = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", text) else UNKNOWN


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True)
    return run.stdout.strip()


def base_model(base: str, root: Path) -> BaseModel:
    """Find the base model that `model.base` names: a folder, an S3 prefix or a hub id.

    Args:
        base: package:NAME, a hub id, s3://… or a folder.
        root: of the repository, which paths are relative to.

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
                f"{_BASE}: expected a folder with config.json and weights, got {base} with {found}"
            )
        return BaseModel(folder=folder)
    if base.startswith((".", "/", "~")) or not _HUB_ID.match(base):
        raise UserError(
            f"{_BASE}: expected package:NAME, a hub id, s3://… or a folder, got {base!r} (not found)"
        )
    return BaseModel(hub_id=base)


def _folder_in_package(name: str) -> Path:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"{_BASE}: the Python package {name!r} is not installed; "
            "add it to requirements/model.txt and run `make setup`"
        )
    package = Path(spec.submodule_search_locations[0])
    folders = sorted(path.parent for path in package.rglob("config.json") if _holds_model(path.parent))
    if not folders:
        raise UserError(f"{_BASE}: the Python package {name!r} holds no model (config.json beside weights)")
    return folders[0]


def _holds_model(folder: Path) -> bool:
    weights = (path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern))
    return (folder / "config.json").is_file() and next(weights, None) is not None
