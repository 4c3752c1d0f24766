"""What was looked at: a line for a person, and what to type where something is to be done."""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

OK, NOTE, PROBLEM = "ok", "note", "PROBLEM"


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        state: ok; note: worth knowing, or not looked at; PROBLEM: something does not work until it is mended.
        text: what was found.
        fix: a command, or a sentence where there is no command.
    """

    state: str
    text: str
    fix: str | None = None


class Part(NamedTuple):
    """The findings about one subject."""

    title: str
    findings: Sequence[Finding]


def ok(text: str) -> Finding:
    """In order."""
    return Finding(OK, text)


def note(text: str, fix: str | None = None) -> Finding:
    """Worth knowing."""
    return Finding(NOTE, text, fix)


def problem(text: str, fix: str) -> Finding:
    """To be mended."""
    return Finding(PROBLEM, text, fix)


def problems(parts: Sequence[Part]) -> int:
    """How many there are."""
    return sum(finding.state == PROBLEM for part in parts for finding in part.findings)


def in_words(parts: Sequence[Part]) -> str:
    """The page that a person reads. ASCII but for what others have named: consoles differ."""
    lines = []
    for part in parts:
        lines.append(part.title)
        for finding in part.findings:
            lines.append(f"  {finding.state:<7}  {finding.text}")
            if finding.fix is not None:
                lines.append(f"  {'':<7}  -> {finding.fix}")
        lines.append("")
    count = problems(parts)
    ending = {0: "No problem was found.", 1: "1 problem was found."}.get(
        count, f"{count} problems were found."
    )
    return "\n".join([*lines, ending])


def as_data(parts: Sequence[Part]) -> dict[str, Any]:
    """The same for programs."""
    found = [{"part": part.title, **finding._asdict()} for part in parts for finding in part.findings]
    return {"problems": problems(parts), "findings": found}


def from_data(data: dict[str, Any]) -> list[Part]:
    """What `as_data` has made of findings, as findings again."""
    titles = dict.fromkeys(one["part"] for one in data["findings"])
    return [
        Part(
            title,
            [
                Finding(one["state"], one["text"], one["fix"])
                for one in data["findings"]
                if one["part"] == title
            ],
        )
        for title in titles
    ]
