"""What a batch-inference repository runs: machines for each file."""

from collections.abc import Mapping
from typing import Any

from .items import HOURS_A_MONTH, Item, Use, item

JOBS = 2  # one reads the file, one writes its answers


def items(transform: Mapping[str, Any], use: Use) -> list[Item]:
    """Both environments.

    Args:
        transform: config/transform.yaml.
        use: how much it is used.
    """
    canary = use._replace(rows=None)
    asked = {
        "staging": (use.pushes, "pushes, one file each", canary),
        "production": (use.files, "files", use),
    }
    found: list[Item] = []
    for name, (files, what, used) in asked.items():
        if transform[name]["enabled"]:
            found += _environment(name, transform[name], files, f"{files:g} {what}", used)
    return found


def minutes(use: Use, count: int) -> float:
    """How long each of so many machines works on a file."""
    if use.rows is None or use.rows_per_second is None:
        return use.transform_minutes
    return use.start_minutes + use.rows / (use.rows_per_second * count) / 60


def _environment(name: str, settings: Mapping[str, Any], files: float, how: str, use: Use) -> list[Item]:
    part = f"batch, {name}"
    machines, processing = settings["transform"], settings["processing"]
    count, model_type = machines["instance_count"], machines["instance_type"]
    taken = minutes(use, count)
    each = f"{how} x {round(taken, 1):g} min" + (f" x {count} machines" if count > 1 else "")
    hours = files * JOBS * use.processing_minutes / 60
    return [
        item(
            part,
            f"model: {model_type}",
            f"sagemaker.transform.{model_type}",
            files * count * taken / 60,
            each,
        ),
        item(
            part,
            f"files: {processing['instance_type']}",
            f"sagemaker.processing.{processing['instance_type']}",
            hours,
            f"{how} x {JOBS} jobs x {use.processing_minutes:g} min",
        ),
        item(
            part,
            "files: disk",
            "sagemaker.volume.processing",
            processing["volume_gb"] * hours / HOURS_A_MONTH,
            f"{processing['volume_gb']} GB meanwhile",
        ),
    ]
