"""What runs because the repository is used: the machines of a training, of an endpoint, of a batch file.

Quantities only, each with the key of its price; `estimate` multiplies.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

HOURS_A_MONTH = 730  # as AWS's own calculator has it
DAYS_A_MONTH = HOURS_A_MONTH / 24
KB_OF_GB = 1_000_000
JOBS_OF_A_FILE = 2  # one reads the file, one writes its answers

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")  # 1 to 7, as EventBridge counts them
_PER_DAY = {"minute": 24 * 60, "hour": 24, "day": 1}


class Item(NamedTuple):
    """One line of the estimate.

    Attributes:
        part: the heading that it is under.
        what: what it is, for a person.
        key: of its price.
        low, high: how much of it in a month, in the price's unit.
        how: how that comes about.
        remark: what else to know.
    """

    part: str
    what: str
    key: str
    low: float
    high: float
    how: str
    remark: str = ""


def item(part: str, what: str, key: str, quantity: float, how: str, remark: str = "") -> Item:
    """A line whose quantity is one number."""
    return Item(part, what, key, quantity, quantity, how, remark)


class Use(NamedTuple):
    """How much it is used in a month, which no configuration says; cli.MEANINGS has each in words."""

    pushes: float = 4
    trainings: float | None = None
    preprocess_minutes: float = 5
    train_minutes: float = 30
    evaluate_minutes: float = 5
    requests: float = 100_000
    staging_requests: float = 1_000
    request_ms: float = 100
    request_kb: float = 4
    labels: int = 10
    files: float = 20
    transform_minutes: float = 6
    rows: float | None = None
    rows_per_second: float | None = None
    start_minutes: float = 5
    processing_minutes: float = 4
    build_minutes: float = 5
    storage_gb: float = 10
    logs_gb: float = 1


def training(model: Mapping[str, Any], use: Use) -> list[Item]:
    """The machines of a model-build repository, and their disks.

    Args:
        model: config/model.yaml.
        use: how much it is used.
    """
    runs, why = trainings_a_month(model.get("schedule"), use)
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
        found.append(item("training", f"{step}: {name}", f"sagemaker.{kind}.{name}", hours, often, remark))
        held = machine["volume_gb"] * hours / HOURS_A_MONTH
        found.append(
            item(
                "training",
                f"{step}: disk",
                f"sagemaker.volume.{kind}",
                held,
                f"{machine['volume_gb']} GB meanwhile",
            )
        )
    return found


def trainings_a_month(schedule: str | None, use: Use) -> tuple[float, str]:
    """How many there are in a month, and how that comes about."""
    if use.trainings is not None:
        return use.trainings, f"{use.trainings:g} trainings"
    planned = runs_a_month(schedule) if schedule else 0.0
    if planned is None:
        return use.pushes, f"{use.pushes:g} pushes (the schedule is not counted: say --trainings)"
    if planned:
        return use.pushes + planned, f"({use.pushes:g} pushes + {planned:.3g} by schedule)"
    return use.pushes, f"{use.pushes:g} pushes"


def endpoints(endpoint: Mapping[str, Any], use: Use) -> list[Item]:
    """Both endpoints of a serverless-inference repository, which are paid for while they answer.

    Args:
        endpoint: config/endpoint.yaml.
        use: how much it is used.
    """
    asked = {"staging": use.staging_requests, "production": use.requests}
    found: list[Item] = []
    for name, requests in asked.items():
        if endpoint[name]["enabled"]:
            found += _endpoint(name, endpoint[name], requests, use)
    return found


def _endpoint(name: str, settings: Mapping[str, Any], requests: float, use: Use) -> list[Item]:
    part, memory = f"endpoint, {name}", settings["memory_mb"]
    seconds, how = requests * use.request_ms / 1000, f"{requests:,.0f} requests x {use.request_ms:g} ms"
    kept = settings["provisioned_concurrency"]
    kind = "serverless" if kept is None else "provisioned_duration"
    found = [
        item(part, f"answering, {memory} MB", f"sagemaker.{kind}.{memory}", seconds, how),
        item(
            part,
            "requests and answers",
            "sagemaker.serverless.data",
            requests * use.request_kb / KB_OF_GB,
            f"{requests:,.0f} x {use.request_kb:g} kB",
        ),
    ]
    if kept is not None:
        bounds = [kept, *kept["schedule"]]
        low, high = min(each["minimum"] for each in bounds), max(each["maximum"] for each in bounds)
        month = HOURS_A_MONTH * 3600
        how = f"{low} to {high} containers, all month" if low < high else f"{low} containers, all month"
        key = f"sagemaker.provisioned.{memory}"
        found.append(Item(part, f"kept ready, {memory} MB", key, low * month, high * month, how))
    return found


def batches(transform: Mapping[str, Any], use: Use) -> list[Item]:
    """The machines of a batch-inference repository, in both environments, for each file.

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
            found += _batch(name, transform[name], files, f"{files:g} {what}", used)
    return found


def minutes_of_a_file(use: Use, count: int) -> float:
    """How long each of so many machines works on a file."""
    if use.rows is None or use.rows_per_second is None:
        return use.transform_minutes
    return use.start_minutes + use.rows / (use.rows_per_second * count) / 60


def _batch(name: str, settings: Mapping[str, Any], files: float, how: str, use: Use) -> list[Item]:
    part = f"batch, {name}"
    machines, processing = settings["transform"], settings["processing"]
    count, model_type = machines["instance_count"], machines["instance_type"]
    taken = minutes_of_a_file(use, count)
    each = f"{how} x {round(taken, 1):g} min" + (f" x {count} machines" if count > 1 else "")
    hours = files * JOBS_OF_A_FILE * use.processing_minutes / 60
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
            f"{how} x {JOBS_OF_A_FILE} jobs x {use.processing_minutes:g} min",
        ),
        item(
            part,
            "files: disk",
            "sagemaker.volume.processing",
            processing["volume_gb"] * hours / HOURS_A_MONTH,
            f"{processing['volume_gb']} GB meanwhile",
        ),
    ]


def runs_a_month(expression: str, year: int = 2025) -> float | None:
    """Runs in a month on average; None for what is not understood here (L, W and #).

    Args:
        expression: rate(…) or cron(minutes hours day month weekday year).
        year: the year whose days are counted; any that is no leap year.
    """
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate:
        return DAYS_A_MONTH * _PER_DAY[rate[2]] / int(rate[1])
    fields = expression.removeprefix("cron(").removesuffix(")").split()
    if len(fields) != 6:
        return None
    minutes, hours = _values(fields[0], 0, 59), _values(fields[1], 0, 23)
    days, months = _values(fields[2], 1, 31), _values(fields[3], 1, 12, _MONTHS)
    weekdays = _values(fields[4], 1, 7, _DAYS)
    if minutes is None or hours is None or days is None or months is None or weekdays is None:
        return None
    all_days = (date(year, 1, 1) + timedelta(days=number) for number in range(365))
    fitting = sum(
        day.month in months and day.day in days and day.isoweekday() % 7 + 1 in weekdays for day in all_days
    )
    return fitting * len(minutes) * len(hours) / 12


def _values(field: str, first: int, last: int, names: tuple[str, ...] = ()) -> set[int] | None:
    found: set[int] = set()
    for part in field.upper().split(","):
        span, _, step = part.partition("/")
        for number, name in enumerate(names, start=1):
            span = span.replace(name, str(number))
        begin, dash, end = span.partition("-")
        if span in ("*", "?"):
            begin, end = str(first), str(last)
        elif not dash:
            end = str(last) if step else begin
        if not (begin.isdigit() and end.isdigit() and (step.isdigit() or not step)) or step == "0":
            return None
        found |= set(range(int(begin), int(end) + 1, int(step or 1)))
    return {value for value in found if first <= value <= last}
