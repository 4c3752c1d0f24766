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
    asked = {"staging": (use.pushes, "pushes, one file each"), "production": (use.files, "files")}
    found: list[Item] = []
    for name, (files, what) in asked.items():
        if transform[name]["enabled"]:
            found += _environment(name, transform[name], files, f"{files:g} {what}", use)
    return found


def _environment(name: str, settings: Mapping[str, Any], files: float, how: str, use: Use) -> list[Item]:
    part = f"batch, {name}"
    machines, processing = settings["transform"], settings["processing"]
    count, model_type = machines["instance_count"], machines["instance_type"]
    each = f"{how} x {use.transform_minutes:g} min" + (f" x {count} machines" if count > 1 else "")
    hours = files * JOBS * use.processing_minutes / 60
    return [
        item(
            part,
            f"model: {model_type}",
            f"sagemaker.transform.{model_type}",
            files * count * use.transform_minutes / 60,
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
