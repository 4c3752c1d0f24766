"""Pages for people: HTML that opens by itself, with no script, font or picture from anywhere else."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from .page_style import STYLE


class Change(NamedTuple):
    """A difference between two deployments; a value that was not there is None."""

    what: str
    before: str | None
    now: str | None


def page(title: str, subtitle: str, parts: Sequence[str]) -> str:
    """A whole page; `parts` are HTML, titles are text."""
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    header = f"<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>"
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        *head,
        "</head>",
        "<body><main>",
        header,
        *parts,
    ]
    return "\n".join([*lines, "</main></body>", "</html>", ""])


def section(title: str, content: str) -> str:
    """A part of a page; `content` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def table(heads: Sequence[str], rows: Sequence[str], numbers: tuple[int, ...] = ()) -> str:
    """A table; `rows` are HTML, and the columns `numbers` are set to the right."""
    kinds = ["number" if column in numbers else "" for column in range(len(heads))]
    cells = "".join(
        f'<th class="{kind}">{escape(head)}</th>' for kind, head in zip(kinds, heads, strict=True)
    )
    top = f"<thead><tr>{cells}</tr></thead>"
    return f'<div class="wide"><table>{top}<tbody>{"".join(rows)}</tbody></table></div>'


def verdict(problems: Sequence[str], passed: str) -> str:
    """The first thing to read: what passed, or each problem."""
    if not problems:
        return f'<section class="verdict passed"><b>Passed</b><p>{escape(passed)}</p></section>'
    items = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return f'<section class="verdict failed"><b>Failed</b><ul>{items}</ul></section>'


def changes(now: Mapping[str, str], before: Mapping[str, str]) -> list[Change]:
    """What is different between two deployments, key by key."""
    return [
        Change(key, before.get(key), now.get(key))
        for key in [*now, *(key for key in before if key not in now)]
        if now.get(key) != before.get(key)
    ]


def changes_table(found: Sequence[Change]) -> str:
    """The differences as a table."""
    rows = [
        f"<tr><td>{escape(each.what)}</td><td>{value(each.before)}</td><td>{value(each.now)}</td></tr>"
        for each in found
    ]
    return table(["", "Before", "Now"], rows)


def facts(found: Mapping[str, str]) -> str:
    """Names and values, one below the other."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{value(text)}</dd>" for name, text in found.items())
    return f"<dl>{items}</dl>"


def leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Settings as lines of name and value."""
    for key, inner in settings.items():
        if isinstance(inner, Mapping) and inner:
            yield from leaves(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner if isinstance(inner, str) else _in_words(inner)


def value(text: str | None) -> str:
    """A value as HTML."""
    return "<code>not set</code>" if text is None else f"<code>{escape(text)}</code>"


def _in_words(found: Any) -> str:
    if found is None or found == {} or found == []:
        return "none"
    if isinstance(found, float):
        return f"{found:g}"
    return json.dumps(found, ensure_ascii=False)
