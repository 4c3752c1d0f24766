"""The table of prices, and a person's own instead of some of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from configuration.errors import UserError

TABLE = Path(__file__).with_name("prices.yaml")
OWN = "config/prices.yaml"
EVERY_REGION = "every"
YOURS = "yours"


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


def load(root: Path, table: Path = TABLE) -> Table:
    """The table, with config/prices.yaml of the repository over it.

    Raises:
        UserError: one line for each value of config/prices.yaml that is no price.
    """
    document = yaml.safe_load(table.read_text(encoding="utf-8"))
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
