"""How often a schedule of EventBridge runs in a month."""

import re
from datetime import date, timedelta

from .items import DAYS_A_MONTH

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")  # 1 to 7, as EventBridge counts them
_PER_DAY = {"minute": 24 * 60, "hour": 24, "day": 1}


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
