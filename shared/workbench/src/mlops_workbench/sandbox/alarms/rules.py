"""When an alarm is in which state: pure functions of the newest datapoints.

[read] in "Configuring how CloudWatch alarms treat missing data" and "Evaluating an alarm": N datapoints are
evaluated, M of which must breach. More periods than N are looked at, so that a datapoint that is late or
missing is replaced by an older one; how many more depends on the alarm in AWS, and is two here, as in the
documentation's examples. Where there are fewer than N, what is missing counts as the alarm says.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
#: Periods that are looked at beyond those that are evaluated.
EXTRA = 2
#: operator -> (does a value breach, how the reason puts it)
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
MISSING = ("breaching", "notBreaching", "ignore", "missing")
_TREATED = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


@dataclass(frozen=True)
class Rule:
    """The numbers of an alarm."""

    comparison: str
    threshold: float
    periods: int
    datapoints: int
    missing: str = "missing"

    def breaches(self, value: float) -> bool:
        """Tell whether a datapoint is on the wrong side of the threshold."""
        return COMPARISONS[self.comparison][0](value, self.threshold)


@dataclass(frozen=True)
class Verdict:
    """The state that the datapoints give, and the reason in CloudWatch's words; None keeps the state."""

    state: str | None
    reason: str = ""


def judge(rule: Rule, values: Sequence[float | None], described: Sequence[str]) -> Verdict:
    """Return the verdict on the newest datapoints.

    Args:
        rule: of the alarm.
        values: of the last ``rule.periods + EXTRA`` periods, the newest first; None where there is no data.
        described: the times of the periods, as the reason shows them.
    """
    found = [(value, when) for value, when in zip(values, described, strict=True) if value is not None]
    used = found[: rule.periods]
    lacking = rule.periods - len(used)
    bad = sum(rule.breaches(value) for value, _ in used)
    state = _state(rule, bad, len(used) - bad, lacking)
    return Verdict(state, _reason(rule, state, used, lacking)) if state else Verdict(None)


def _state(rule: Rule, bad: int, good: int, lacking: int) -> str | None:
    if rule.missing == "breaching":
        bad += lacking
    elif lacking and not (bad or good):
        return {"ignore": None, "missing": INSUFFICIENT_DATA, "notBreaching": OK}[rule.missing]
    if bad >= rule.datapoints:
        return ALARM
    if lacking and rule.missing in ("ignore", "missing"):
        # What is missing could still make it an alarm, unless enough is good already.
        open_ = bad + lacking >= rule.datapoints
        if open_ and rule.missing == "ignore":
            return None
        if open_ and bad and not good:
            return ALARM
    return OK


def _reason(rule: Rule, state: str, used: Sequence[tuple[float, str]], lacking: int) -> str:
    if state == INSUFFICIENT_DATA:
        were = "datapoint was" if lacking == 1 else "datapoints were"
        return f"Insufficient Data: {lacking} {were} unknown."
    treated = _TREATED.get(rule.missing)
    filled = ""
    if lacking and treated:
        were = "missing datapoint was" if lacking == 1 else "missing datapoints were"
        filled = f"{lacking} {were} treated as [{treated}]"
    if not used:
        periods = "1 period" if lacking == 1 else f"{lacking} periods"
        return f"Threshold Crossed: no datapoints were received for {periods} and {filled}."
    bad = sum(rule.breaches(value) for value, _ in used)
    count = bad if state == ALARM else len(used) - bad
    shown = ", ".join(f"{value} ({when})" for value, when in used)
    words = COMPARISONS[rule.comparison][1]
    verb = "was" if count == 1 else "were"
    negation = "" if state == ALARM else "not "
    text = (
        f"Threshold Crossed: {count} out of the last {len(used)} datapoints [{shown}] {verb} {negation}"
        f"{words} the threshold ({rule.threshold})"
    )
    transition = "OK -> ALARM" if state == ALARM else "ALARM -> OK"
    least = rule.datapoints if state == ALARM else rule.periods - rule.datapoints + 1
    text += f" (minimum {least} datapoint{'' if least == 1 else 's'} for {transition} transition)"
    return f"{text}{' and ' + filled if filled else ''}."
