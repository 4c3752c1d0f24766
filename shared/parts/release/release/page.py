"""Pages for people: HTML that opens by itself, with no script, font or picture from anywhere else."""

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple


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


# by day and by night
STYLE = """
:root {
  color-scheme: light dark;
  --page: #eef1f4; --card: #fff; --ink: #1f2933; --soft: #5a6773; --line: #d5dbe1;
  --good: #00684a; --bad: #a63c00; --bar: #3d74c7; --track: #e4e8ec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14191f; --card: #1d242c; --ink: #e4e8ec; --soft: #a0acb8; --line: #38434e;
    --good: #4fcf9f; --bad: #ff9a5c; --bar: #6fa3ee; --track: #303a44;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 8px; }
p { margin: 0 0 10px; color: var(--soft); max-width: 76ch; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 22px 24px; margin-top: 18px; }
section > :last-child { margin-bottom: 0; }
.verdict { border-left: 6px solid; }
.verdict b { font-size: 19px; }
.verdict.passed { border-left-color: var(--good); }
.verdict.failed { border-left-color: var(--bad); }
.verdict p { color: var(--ink); margin-top: 6px; max-width: none; }
.passed b, td.passed { color: var(--good); }
.failed b, td.failed, .failed li { color: var(--bad); }
ul { margin: 8px 0 0; padding-left: 20px; }
li { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, SFMono-Regular, Consolas, monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; white-space: nowrap; }
th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr:last-child td { border-bottom: 0; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.text { min-width: 240px; overflow-wrap: anywhere; }
td small { display: block; color: var(--soft); }
.track { display: block; height: 10px; min-width: 160px; margin-top: 6px; background: var(--track); }
.track, .track span { border-radius: 5px; }
.track span { display: block; height: 100%; background: var(--bar); }
.failed .track span { background: var(--bad); }
@media (max-width: 640px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 8px; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
