"""Asks an endpoint about texts, typed or from a file, and shows the labels in a table.

A file has lines, JSON Lines, CSV, or emails.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from configuration import UserError
from release.aws import session, stop_on_other_account
from release.environments import ENVIRONMENTS, STAGING

from .config import Settings
from .endpoint import MAX_BODY, ONE, ByTarget, Endpoint, Said, Text, encode

MOST_TEXTS = 32
"""Texts in one request, so that it ends well within the service's 60 s on any memory size."""

SHOWN = 48  # characters of a text
WIDEST = 120  # characters of what was answered

KINDS = (".txt", ".jsonl", ".csv", ".eml")

csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is shorter than some emails


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="what to ask about")
    parser.add_argument(
        "--file",
        type=Path,
        help=f"more texts: {', '.join(KINDS)} (a .txt has one a line), or a folder of .eml files",
    )
    parser.add_argument("--environment", choices=ENVIRONMENTS, default=STAGING, help="default: staging")
    parser.add_argument("--top", type=_positive, default=3, metavar="N", help="labels to show (default: 3)")
    parser.add_argument("--json", action="store_true", help="a JSON object for each text, one a line")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Asks, prints what comes back, and returns 0.

    Raises:
        UserError: nothing to ask, another account's credentials, or no answer.
    """
    asked: list[Text] = [*options.texts, *(read_file(options.file) if options.file else ())]
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


def shorten(text: Text, width: int = SHOWN) -> str:
    """A text, or the columns of one, on a line of at most `width` characters."""
    parts = [text] if isinstance(text, str) else [part for part in text.values() if part]
    # what a terminal would obey, such as escape, is shown as a space
    line = "".join(c if c.isprintable() else " " for c in " | ".join(parts))
    line = " ".join(line.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def read_file(path: Path) -> list[Text]:
    """The texts of a file, or of the emails in a folder.

    * `.txt`: one text a line; empty lines are left out
    * `.jsonl`: in each line a text, an object with the text columns, or `{"inputs": …}`
    * `.csv`: a column `inputs` or `text`, else all columns, of which the model takes its own
    * `.eml`: subject and body of an email

    Raises:
        UserError: it cannot be read, or holds no text.
    """
    try:
        found = list(_read(path))
    except FileNotFoundError:
        raise UserError(f"--file {path}: expected a file or a folder of .eml files, found none") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text, got other bytes at byte {error.start}") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: could not be read: {error}") from None
    if not found:
        raise UserError(f"{path}: expected at least one text, found none")
    return found


class _Words(HTMLParser):
    """Collects the text of HTML."""

    SILENT = ("head", "script", "style")
    BREAKS = ("br", "div", "h1", "h2", "h3", "li", "p", "td", "tr")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in self.SILENT
        if tag in self.BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.SILENT and self._silent:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(" ".join(data.split()) + " " if data.strip() else "")


def _ranking_head(ranked: bool) -> list[str]:
    return ["label", "score", "then" if ranked else ""]


def _ranking(said: Said) -> list[str]:
    best, *others = said.labels
    return [best.label, f"{best.score:.2f}", ", ".join(f"{label} {score:.2f}" for label, score in others)]


def _review(answer: ByTarget) -> str:
    """What a person should look at: of several targets their names."""
    unsure = [name for name, said in answer.items() if said.needs_review]
    return "yes" if unsure == [ONE] else ", ".join(unsure)


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return number


def _read(path: Path) -> Iterator[Text]:
    if path.is_dir():
        for email in sorted(path.glob("*.eml")):
            yield _email(email)
        return
    kind = path.suffix.lower()
    if kind == ".eml":
        yield _email(path)
    elif kind == ".txt":
        yield from (line.strip() for line in path.read_text("utf-8-sig").split("\n") if line.strip())
    elif kind == ".jsonl":
        yield from _json_lines(path)
    elif kind == ".csv":
        yield from _csv(path)
    else:
        raise UserError(
            f"--file {path}: expected a name ending in {', '.join(KINDS)}, or a folder of .eml files"
        )


def _json_lines(path: Path) -> Iterator[Text]:
    # only "\n" ends a line: str.splitlines would also cut at U+2028, which may stand inside a JSON string
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}: line {number}: expected JSON, got {error}") from None
        text = found["inputs"] if isinstance(found, dict) and "inputs" in found else found
        if not isinstance(text, (str, dict)):
            raise UserError(f"{path}: line {number}: expected a text or an object, got {line.strip()[:60]}")
        yield text


def _csv(path: Path) -> Iterator[Text]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines, strict=True)
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                wanted = len(rows.fieldnames or ())
                raise UserError(f"{path}: row {number}: expected {wanted} fields as in the header")
            text = row.get("inputs", row.get("text"))
            yield row if text is None else text


def _email(path: Path) -> Text:
    """Subject and body; of an email in plain text and HTML, the plain text."""
    content = path.read_bytes()
    try:
        message = message_from_bytes(content, policy=policy.default)
        part = message.get_body(("plain", "html"))
        subject, body = str(message["subject"] or ""), part.get_content() if part else ""
    except Exception as error:  # the email package fails on broken mail in more ways than it documents
        raise UserError(f"{path}: expected an email, could not read it: {error}") from None
    if part is not None and part.get_content_subtype() == "html":
        body = _words(body)
    if not body.strip() and not subject:
        raise UserError(f"{path}: expected an email with a subject or a body, found neither")
    return {"subject": subject, "body": body.strip()}


def _words(html: str) -> str:
    parser = _Words()
    parser.feed(html)
    lines = (line.strip() for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)
