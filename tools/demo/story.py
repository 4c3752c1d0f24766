"""Telling a chapter: its commands one after the other, as if they were typed, until one goes wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from demo.chapters import Chapter, Command
from demo.shell import Shell, ShellEnded


class CommandFailed(Exception):
    """A command of the tutorial did not end well; the text says which, how, and how to go on."""


@dataclass
class Times:
    """Seconds of each chapter, by its heading."""

    chapters: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @property
    def whole(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begun


def tell(chapter: Chapter, of: int, shell: Shell, times: Times, watch: str = "") -> None:
    """Run a chapter's commands and note its time.

    Args:
        chapter: which one.
        of: the number of the last one.
        shell: runs the commands.
        times: gets the chapter's.
        watch: where to look meanwhile; "" if nowhere yet.

    Raises:
        CommandFailed: one did not end with 0.
    """
    heading(
        f"{chapter.number}/{of}  {chapter.title}  ({clock(times.whole)})"
        + (f"  watch {watch}" if watch else "")
    )
    begun = time.monotonic()
    try:
        for command in chapter.commands:
            print("\n".join(typed(command)), flush=True)
            try:
                status = shell.run(command.text)
            except ShellEnded:
                raise CommandFailed(failure(chapter, command, "ended the shell", shell)) from None
            if status:
                raise CommandFailed(failure(chapter, command, f"ended with {status}", shell))
    finally:
        times.chapters[f"{chapter.number}. {chapter.title}"] = time.monotonic() - begun


def typed(command: Command) -> list[str]:
    """Return a command as it looks in a terminal."""
    first, *rest = command.text.splitlines()
    return [f"$ {first}", *(f"> {line}" for line in rest)]


def failure(chapter: Chapter, command: Command, how: str, shell: Shell) -> str:
    """Return what a person needs to know about a command that did not end well."""
    said = "\n".join(f"    {line}" for line in shell.last_lines) or "    nothing"
    return (
        f"Chapter {chapter.number}, {chapter.title}: the command of line {command.line} {how}:\n"
        + "\n".join(f"  {line}" for line in typed(command))
        + f"\n  It said last:\n{said}\n"
        + "What was made until here stays in build/ for a look. `make demo` begins anew; `make demo "
        "ARGS=--keep` leaves the accounts running when this happens again: their page, `mlops-sandbox "
        "status` and `mlops-sandbox logs` say more."
    )


def heading(text: str) -> None:
    """Print a line that the eye finds again."""
    print(f"\n=== {text} ===", flush=True)


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
