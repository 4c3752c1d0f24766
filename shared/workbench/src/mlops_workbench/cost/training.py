"""What a model-build repository runs: machines for each training."""

from collections.abc import Mapping
from typing import Any

from .items import HOURS_A_MONTH, Item, Use, item
from .schedules import runs_a_month

PART = "training"


def items(model: Mapping[str, Any], use: Use) -> list[Item]:
    """The machines and their disks.

    Args:
        model: config/model.yaml.
        use: how much it is used.
    """
    runs, why = trainings(model.get("schedule"), use)
    found: list[Item] = []
    minutes = {
        "preprocess": use.preprocess_minutes,
        "train": use.train_minutes,
        "evaluate": use.evaluate_minutes,
    }
    for step, taken in minutes.items():
        machine = model["compute"][step]
        kind = "training" if step == "train" else "processing"
        count = machine.get("instance_count", 1)
        hours = runs * count * taken / 60
        often = f"{why} x {taken:g} min" + (f" x {count} machines" if count > 1 else "")
        remark = "at most: spot costs less, AWS says up to 90 %" if machine.get("spot") else ""
        name = machine["instance_type"]
        found.append(item(PART, f"{step}: {name}", f"sagemaker.{kind}.{name}", hours, often, remark))
        held = machine["volume_gb"] * hours / HOURS_A_MONTH
        found.append(
            item(
                PART,
                f"{step}: disk",
                f"sagemaker.volume.{kind}",
                held,
                f"{machine['volume_gb']} GB meanwhile",
            )
        )
    return found


def trainings(schedule: str | None, use: Use) -> tuple[float, str]:
    """How many there are in a month, and how that comes about."""
    if use.trainings is not None:
        return use.trainings, f"{use.trainings:g} trainings"
    planned = runs_a_month(schedule) if schedule else 0.0
    if planned is None:
        return use.pushes, f"{use.pushes:g} pushes (the schedule is not counted: say --trainings)"
    if planned:
        return use.pushes + planned, f"({use.pushes:g} pushes + {planned:.3g} by schedule)"
    return use.pushes, f"{use.pushes:g} pushes"
