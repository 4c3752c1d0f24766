"""Quantities times prices: pure, and shown as a table or as data."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from configuration import UserError

from .usage import Item, Use

TABLE = "mlops_workbench/cost/prices.yaml"  # `make read-tools` unpacks it
OWN = "config/prices.yaml"
EVERY_REGION = "every"
YOURS = "yours"
#: what is left out: below a cent a month at such use, or not this repository's
LEFT_OUT = (
    "not counted: AWS's free tier, taxes, discounts; events, notifications, queues, functions, requests to "
    "S3 and KMS (cents); what the organisation's foundation costs"
)


class Price(NamedTuple):
    """What a unit costs in USD; a range where it was found for several Regions, none of which is this one.

    Attributes:
        low, high: None when no price is known.
        unit: of the quantity that is paid for.
        regions: whose prices they are, each with its date.
    """

    low: float | None
    high: float | None
    unit: str
    regions: tuple[str, ...]


class Quote(NamedTuple):
    """One price with its source."""

    usd: float
    region: str
    date: str
    source: str


class Table(NamedTuple):
    """All prices: key -> unit and quotes; the person's own; where quotes are from."""

    quotes: Mapping[str, tuple[str, Sequence[Quote]]]
    own: Mapping[str, float]
    sources: Mapping[str, str]

    def price(self, key: str, region: str) -> Price:
        """The price for a Region: one's own, else that Region's, else the range of all that were found."""
        unit, quotes = self.quotes.get(key, ("unit", ()))
        if key in self.own:
            return Price(self.own[key], self.own[key], unit, (YOURS,))
        fitting = [quote for quote in quotes if quote.region in (region, EVERY_REGION)] or quotes
        if not fitting:
            return Price(None, None, unit, ())
        found = [quote.usd for quote in fitting]
        return Price(min(found), max(found), unit, tuple(f"{each.region}, {each.date}" for each in fitting))

    def source(self, key: str) -> list[str]:
        """The addresses that a price is from."""
        if key in self.own:
            return [OWN]
        return [self.sources[quote.source] for quote in self.quotes.get(key, ("", ()))[1]]


def prices(root: Path) -> Table:
    """The table, with config/prices.yaml of the repository over it.

    Raises:
        UserError: one line for each value of config/prices.yaml that is no price.
    """
    document = yaml.safe_load(files(__package__).joinpath("prices.yaml").read_text("utf-8"))
    quotes = {
        key: (str(entry["unit"]), [_quote(quote) for quote in entry["quotes"]])
        for key, entry in document["prices"].items()
    }
    return Table(quotes, _own(root / OWN), document["sources"])


def _quote(entry: Mapping[str, Any]) -> Quote:
    return Quote(float(entry["usd"]), str(entry["region"]), str(entry["date"]), str(entry["source"]))


def _own(file: Path) -> dict[str, float]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{OWN}: expected YAML, got: {' '.join(str(error).split())}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UserError(f"{OWN}: expected lines such as kms.key: 1.0, got {document!r}")
    wrong = [
        f"{OWN}: {key}: expected a price in USD, 0 or more, got {value!r}"
        for key, value in document.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0
    ]
    if wrong:
        raise UserError("\n".join(wrong))
    return {str(key): float(value) for key, value in document.items()}


class Line(NamedTuple):
    """An item with its price; `low` and `high` are USD a month, None when the price is unknown."""

    item: Item
    price: Price
    low: float | None
    high: float | None


class Estimate(NamedTuple):
    """All lines of one repository."""

    name: str
    template: str
    region: str
    lines: Sequence[Line]
    use: Use

    @property
    def low(self) -> float:
        """USD a month at least, without what has no known price."""
        return sum(line.low or 0.0 for line in self.lines)

    @property
    def high(self) -> float:
        """USD a month at most, without what has no known price."""
        return sum(line.high or 0.0 for line in self.lines)

    @property
    def unknown(self) -> list[Line]:
        """Lines that are in no sum, as their price is unknown."""
        return [line for line in self.lines if line.low is None]


def estimate(
    name: str, template: str, region: str, items: Sequence[Item], table: Table, use: Use
) -> Estimate:
    """Each item times its price in the Region."""
    return Estimate(name, template, region, [_line(each, table, region) for each in items], use)


def _line(item: Item, table: Table, region: str) -> Line:
    price = table.price(item.key, region)
    if item.high == 0:
        return Line(item, price, 0.0, 0.0)
    if price.low is None or price.high is None:
        return Line(item, price, None, None)
    return Line(item, price, item.low * price.low, item.high * price.high)


def in_words(found: Estimate, options: Sequence[str]) -> str:
    """The table for a person.

    Args:
        found: the estimate.
        options: the options that its assumptions can be changed with, as lines.
    """
    out = [f"{found.name} ({found.template}) in {found.region}: USD a month, estimated", ""]
    part = None
    for line in found.lines:
        if line.item.part != part:
            part = line.item.part
            out.append(part)
        cost = "unknown" if line.low is None or line.high is None else _span(line.low, line.high)
        out.append(f"  {line.item.what:<28} {cost:>16}   {line.item.how}")
        if line.item.remark and line.item.high > 0:
            out.append(f"  {'':<28} {'':>16}   ({line.item.remark})")
    out += ["", f"{'in all':<30} {_span(found.low, found.high):>16}" + _without(found), ""]
    out += [_unknown(line) for line in found.unknown]
    out += [*_origin(found), LEFT_OUT, "", "assumed; each is an option:", *options]
    return "\n".join(out)


def _without(found: Estimate) -> str:
    count = len(found.unknown)
    return f"   without {count} line(s) whose price is unknown" if count else ""


def _unknown(line: Line) -> str:
    about = f"a quantity of {_span(line.item.low, line.item.high)} {line.price.unit}s"
    return f"price unknown: fill in {OWN}: {line.item.key}: USD for a {line.price.unit} ({about})"


def _origin(found: Estimate) -> list[str]:
    used = [line.price for line in found.lines if line.price.low is not None and line.item.high > 0]
    whose = sorted({region for price in used for region in price.regions} - {YOURS})
    lines = [f"prices: {TABLE} (make read-tools), with sources ({'; '.join(whose)})"] if whose else []
    foreign = [each for each in whose if not each.startswith((f"{found.region},", "every,"))]
    if foreign:
        lines.append(
            f"prices of {found.region} differ: put those that matter into {OWN} (https://calculator.aws)"
        )
    return lines


def _span(low: float, high: float) -> str:
    return _amount(low) if _amount(low) == _amount(high) else f"{_amount(low)} to {_amount(high)}"


def _amount(value: float) -> str:
    return f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"


def as_data(found: Estimate, table: Table) -> dict[str, Any]:
    """The same for programs."""
    return {
        "name": found.name,
        "template": found.template,
        "region": found.region,
        "currency": "USD",
        "month": {"low": round(found.low, 4), "high": round(found.high, 4)},
        "unknown": [line.item.key for line in found.unknown],
        "assumed": found.use._asdict(),
        "lines": [
            {
                **line.item._asdict(),
                "unit": line.price.unit,
                "price": {"low": line.price.low, "high": line.price.high, "of": list(line.price.regions)},
                "sources": table.source(line.item.key),
                "usd": {"low": line.low, "high": line.high},
            }
            for line in found.lines
        ],
    }
