"""Looking at something: what was found, in a line; programs, and calls that may never answer."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Generic, Mapping, NamedTuple, Sequence, TypeVar

OK, NOTE, PROBLEM = "ok", "note", "PROBLEM"
#: nobody is kept waiting longer for something that cannot be reached
SECONDS = 4.5

T = TypeVar("T")


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
    found = [(one["part"], Finding(one["state"], one["text"], one["fix"])) for one in data["findings"]]
    return [Part(title, [each for part, each in found if part == title]) for title in titles]


class Done(NamedTuple):
    """How a program ended; `status` is None when it did not run, or not to its end."""

    status: int | None
    out: str
    err: str


def run(
    words: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 10,
) -> Done:
    """Runs a program and returns what it says; never raises for what the program does."""
    try:
        done = subprocess.run(
            list(words),
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Done(None, "", f"no answer within {seconds:g} s")
    except (OSError, ValueError) as error:
        return Done(None, "", str(error))
    return Done(done.returncode, done.stdout, done.stderr)


class Later(Generic[T]):
    """A call in a thread. The thread is left behind when it is late, and does not keep the process alive."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._began = time.monotonic()
        self._answer: list[T] = []
        self._error: list[Exception] = []
        self._thread = threading.Thread(target=self._work, args=(call,), daemon=True)
        self._thread.start()

    def _work(self, call: Callable[[], T]) -> None:
        try:
            self._answer.append(call())
        except Exception as error:  # whatever it is, it is told in the thread that asks
            self._error.append(error)

    def result(self, seconds: float = SECONDS) -> T:
        """The answer.

        Args:
            seconds: how long after its beginning the call may take.

        Raises:
            TimeoutError: there is none yet.
        """
        self._thread.join(max(0.0, self._began + seconds - time.monotonic()))
        if self._answer:
            return self._answer[0]
        if self._error:
            raise self._error[0]
        raise TimeoutError(f"no answer within {seconds:g} s")


def within(call: Callable[[], T], seconds: float = SECONDS) -> T:
    """The call's answer.

    Raises:
        TimeoutError: it takes longer.
    """
    return Later(call).result(seconds)
