"""Reads texts from files for `invoke`: lines, JSON Lines, CSV, and emails."""

import csv
import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path

from configuration.errors import UserError

from .endpoint import Text

KINDS = (".txt", ".jsonl", ".csv", ".eml")

csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is shorter than some emails


def read(path: Path) -> list[Text]:
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


def _words(html: str) -> str:
    parser = _Words()
    parser.feed(html)
    lines = (line.strip() for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)
