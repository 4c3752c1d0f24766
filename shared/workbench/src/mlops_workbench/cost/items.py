"""What is paid for: a quantity of something that has a price."""

from typing import NamedTuple

HOURS_A_MONTH = 730  # as AWS's own calculator has it
DAYS_A_MONTH = HOURS_A_MONTH / 24
MB_OF_GB = 1000


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
