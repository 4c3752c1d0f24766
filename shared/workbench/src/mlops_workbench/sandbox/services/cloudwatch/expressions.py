"""Metric math, as far as alarms of one endpoint need it: numbers for each period.

[read] in "Using math expressions with CloudWatch metrics": a metric without data in a period has no value
there, and neither has what is computed from it, except by FILL, IF and the functions of lists, which leave
out what is missing; a division by zero has no value.

    parse("100 * FILL(errors, 0) / requests").value({"errors": None, "requests": 4.0})   # 0.0

What is not here is refused when an alarm is made: functions of a whole series (AVG(m1), RATE, METRICS,
SEARCH, ANOMALY_DETECTION_BAND and others), and Metrics Insights.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

Number = float | None
Values = Mapping[str, Number]

_ID = re.compile(r"[a-z][A-Za-z0-9_]{0,254}")
#: CloudWatch's spellings, and Python's for the same.
_SPELLINGS = ((r"&&", " and "), (r"\|\|", " or "), (r"\bAND\b", " and "), (r"\bOR\b", " or "), (r"\^", "**"))
_ARITHMETIC: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_OF_LISTS: dict[str, Callable[[list[float]], float]] = {
    "MAX": max,
    "MIN": min,
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
}
_KNOWN = "numbers, ids, + - * / ^, comparisons, AND, OR, FILL(id, number), IF(…), ABS(…), " + ", ".join(
    f"{name}([…])" for name in _OF_LISTS
)


class ExpressionError(ValueError):
    """An expression that the sandbox does not compute; one line that says what it does."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression; ``names`` are the ids of the metrics and expressions that it is made of."""

    text: str
    names: frozenset[str]
    _tree: ast.expr

    def value(self, values: Values) -> Number:
        """Return the value in one period, given those of the ids; None stands for a missing one."""
        try:
            return _value(self._tree, values)
        except (OverflowError, ValueError):
            return None


@cache
def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        ExpressionError: it is none, or has something that the sandbox does not compute.
    """
    python = text
    for pattern, replacement in _SPELLINGS:
        python = re.sub(pattern, replacement, python)
    try:
        tree = ast.parse(python.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise ExpressionError(f"{text!r}: expected {_KNOWN}") from None
    names: set[str] = set()
    _check(tree, names, text)
    return Expression(text, frozenset(names), tree)


def _check(node: ast.expr, names: set[str], text: str) -> None:
    """Look at every part, before any is computed."""
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            return
        case ast.Name(id=id_) if _ID.fullmatch(id_):
            names.add(id_)
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _check(operand, names, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            parts = [left, right]
        case ast.BoolOp(values=parts):
            pass
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            parts = [left, right]
        case ast.Call(func=ast.Name(id="FILL"), args=[ast.Name() as series, number], keywords=[]):
            parts = [series, number]
        case ast.Call(func=ast.Name(id="IF"), args=[_, _] | [_, _, _], keywords=[]):
            parts = node.args
        case ast.Call(func=ast.Name(id="ABS"), args=[part], keywords=[]):
            parts = [part]
        case ast.Call(func=ast.Name(id=name), args=[ast.List(elts=[_, *_] as parts)], keywords=[]) if (
            name in _OF_LISTS
        ):
            pass
        case _:
            raise ExpressionError(f"{text!r}: {ast.unparse(node)!r}: the sandbox computes {_KNOWN}")
    for part in parts:
        _check(part, names, text)


def _value(node: ast.expr, values: Values) -> Number:
    match node:
        case ast.Constant(value=value) if isinstance(value, int | float):
            return float(value)
        case ast.Name(id=id_):
            return values[id_]
        case ast.UnaryOp(op=op, operand=operand):
            found = _value(operand, values)
            return -found if found is not None and isinstance(op, ast.USub) else found
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(_ARITHMETIC[type(op)], _value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[comparison], comparators=[right]):
            a, b = _value(left, values), _value(right, values)
            return None if a is None or b is None else float(_COMPARISONS[type(comparison)](a, b))
        case ast.BoolOp(op=op, values=parts):
            known = [bool(found) for part in parts if (found := _value(part, values)) is not None]
            every = all(known) if isinstance(op, ast.And) else any(known)
            return float(every) if len(known) == len(parts) else None
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, arguments, values)
    raise AssertionError(ast.dump(node))  # _check lets nothing else through


def _arithmetic(operation: Callable[[float, float], float], a: Number, b: Number) -> Number:
    if a is None or b is None:
        return None
    try:
        found = operation(a, b)
    except ZeroDivisionError:
        return None
    return found if isinstance(found, float) else None  # a root of a negative number is complex


def _call(name: str, arguments: list[ast.expr], values: Values) -> Number:
    if name in _OF_LISTS:
        (listed,) = arguments
        assert isinstance(listed, ast.List)
        known = [found for part in listed.elts if (found := _value(part, values)) is not None]
        return _OF_LISTS[name](known) if known else None
    found = _value(arguments[0], values)
    if name == "ABS":
        return None if found is None else abs(found)
    if name == "FILL":
        return _value(arguments[1], values) if found is None else found
    # IF: without a third argument nothing is there where the condition does not hold.
    chosen = arguments[1:2] if found else arguments[2:3]
    return _value(chosen[0], values) if chosen else None
