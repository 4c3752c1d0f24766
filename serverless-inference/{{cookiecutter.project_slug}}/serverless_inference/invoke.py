"""`invoke`: asks an endpoint about texts, and shows the labels in a table."""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from configuration.errors import UserError
from release.aws import session, stop_on_other_account
from release.environments import ENVIRONMENTS, STAGING

from . import texts as files
from .answers import ONE, ByTarget, Said
from .config import Settings
from .endpoint import MAX_BODY, Endpoint, Text, encode

MOST_TEXTS = 32
"""Texts in one request, so that it ends well within the service's 60 s on any memory size."""

SHOWN = 48  # characters of a text
WIDEST = 120  # characters of what was answered


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="what to ask about")
    parser.add_argument(
        "--file",
        type=Path,
        help=f"more texts: {', '.join(files.KINDS)} (a .txt has one a line), or a folder of .eml files",
    )
    parser.add_argument("--environment", choices=ENVIRONMENTS, default=STAGING, help="default: staging")
    parser.add_argument("--top", type=_positive, default=3, metavar="N", help="labels to show (default: 3)")
    parser.add_argument("--json", action="store_true", help="a JSON object for each text, one a line")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Asks, prints what comes back, and returns 0.

    Raises:
        UserError: nothing to ask, another account's credentials, or no answer.
    """
    asked: list[Text] = [*options.texts, *(files.read(options.file) if options.file else ())]
    if not asked:
        raise UserError('expected texts, or --file FILE, got neither; such as: invoke "Where is my order?"')
    own = session(settings.project.region)
    stop_on_other_account(own, settings.account(options.environment), f"the {options.environment} endpoint's")
    endpoint = Endpoint.of(own, settings.endpoint_name(options.environment))
    answers = [answer for batch in batches(asked) for answer in endpoint.ask(batch, options.top).answers]
    if options.json:
        for text, answer in zip(asked, answers, strict=True):
            print(json.dumps({"text": text, **as_json(answer)}, ensure_ascii=False))
    else:
        print(table(asked, answers))
    return 0


def batches(texts: Sequence[Text], most: int = MOST_TEXTS, max_body: int = MAX_BODY) -> Iterator[list[Text]]:
    """The texts in their order, in as few requests as the service's limits allow."""
    batch: list[Text] = []
    room = max_body - len(encode([], 9_999))
    size = 0
    for text in texts:
        length = len(json.dumps(text, ensure_ascii=False).encode()) + len(", ")
        if batch and (len(batch) == most or size + length > room):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch


def as_json(answer: ByTarget) -> dict[str, Any]:
    """`{"answers": [{"label", "score"}, …]}`, of several targets `{"targets": {NAME: that, …}}`."""
    if ONE in answer:
        return answer[ONE].to_json()
    return {"targets": {name: said.to_json() for name, said in answer.items()}}


def table(texts: Sequence[Text], answers: Sequence[ByTarget]) -> str:
    """A line for each text: its best label and score, and the next ones; or a column for each target.

    If the model says it, a column tells what a person should look at.
    """
    names = list(dict.fromkeys(name for answer in answers for name in answer))
    reviewed = any(said.needs_review is not None for answer in answers for said in answer.values())
    if names == [ONE] and not any(answer[ONE].several for answer in answers):
        ranked = any(len(answer[ONE].labels) > 1 for answer in answers)
        head, lines = _ranking_head(ranked), [_ranking(answer[ONE]) for answer in answers]
    else:
        head = [name or "labels" for name in names]
        lines = [[answer[name].in_words() if name in answer else "" for name in names] for answer in answers]
    rows = [["text", *head, *(["review"] if reviewed else [])]]
    for text, cells, answer in zip(texts, lines, answers, strict=True):
        rows.append(
            [
                shorten(text),
                *(shorten(cell, WIDEST) for cell in cells),
                *([_review(answer)] if reviewed else []),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _ranking_head(ranked: bool) -> list[str]:
    return ["label", "score", "then" if ranked else ""]


def _ranking(said: Said) -> list[str]:
    best, *others = said.labels
    return [best.label, f"{best.score:.2f}", ", ".join(f"{label} {score:.2f}" for label, score in others)]


def _review(answer: ByTarget) -> str:
    """What a person should look at: of several targets their names."""
    unsure = [name for name, said in answer.items() if said.needs_review]
    return "yes" if unsure == [ONE] else ", ".join(unsure)


def shorten(text: Text, width: int = SHOWN) -> str:
    """A text, or the columns of one, on a line of at most `width` characters."""
    parts = [text] if isinstance(text, str) else [part for part in text.values() if part]
    # what a terminal would obey, such as escape, is shown as a space
    line = "".join(c if c.isprintable() else " " for c in " | ".join(parts))
    line = " ".join(line.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return number
