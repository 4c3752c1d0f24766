"""`python -m demo`: the command line, and the order of things."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from demo import chapters, machine, made
from demo.chapters import Chapter, Command, TutorialError
from demo.shell import Shell, ShellEnded

COLLECTION = Path(__file__).resolve().parents[2]
TUTORIAL = Path("docs/tutorials/email-routing.md")
#: In the work folder: the demo has made it, and may delete it.
MARKER = ".made-by-demo"
PROGRAM = ".venv/bin/mlops-sandbox"
OK, FAILED, INTERRUPTED = 0, 1, 130

DESCRIPTION = """\
The whole story on this machine, in a few minutes: three repositories are generated and registered in two AWS
accounts (the sandbox's), a model is trained, approved, served, a bad one is stopped, another one rolled back.

It runs the commands of a tutorial, docs/tutorials/email-routing.md, and shows what they print.
"""
EXAMPLES = """\
examples:
  make demo                     all chapters; a page to watch is printed in chapter 3
  make demo ARGS=--list         the chapters and their commands, without running anything
  make demo ARGS="--until 4"    the first four
  make demo ARGS=--keep         leave the two accounts running afterwards, to play with
  make demo-model               the short form: one repository, one model, no accounts
"""


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit status is 0 only if every command did what the tutorial says."""
    options = parser().parse_args(arguments)
    try:
        told = [
            each for each in chapters.read(options.tutorial) if each.number <= (options.until or each.number)
        ]
        if options.list:
            show(told)
            return OK
        return run(told, options)
    except (TutorialError, CommandFailed) as error:
        print(f"\n{error}", file=sys.stderr)
        return FAILED


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        prog="make demo",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "--tutorial",
        type=Path,
        default=COLLECTION / TUTORIAL,
        metavar="PAGE.md",
        help=f"(default: {TUTORIAL})",
    )
    found.add_argument(
        "--list", action="store_true", help="show the chapters and their commands, run nothing"
    )
    found.add_argument("--until", type=int, metavar="CHAPTER", help="end after this one")
    found.add_argument("--keep", action="store_true", help="leave the accounts running; says how to end them")
    return found


def show(told: Sequence[Chapter]) -> None:
    """Print chapters and commands."""
    for chapter in told:
        print(f"\n{chapter.number}. {chapter.title}")
        for command in chapter.commands:
            print("\n".join(typed(command)))


def run(told: Sequence[Chapter], options: argparse.Namespace) -> int:
    """Run the chapters in order; ends what they have started, unless it is to be kept."""
    if missing := machine.problems(COLLECTION):
        raise CommandFailed("\n".join(["The demo cannot run here:", *(f"  {each}" for each in missing)]))
    work = COLLECTION / "build" / options.tutorial.stem
    clear(work)
    own = COLLECTION / "build/demo-settings"
    environment = machine.environment(own)
    machine.fill_plugin_cache(COLLECTION / "shared/foundation", own, environment)
    times, status = Times(), FAILED
    before = signal.signal(signal.SIGTERM, _interrupt)
    shell = Shell(COLLECTION, environment, lambda line: print(f"  {line}", flush=True))
    try:
        for chapter in told:
            tell(chapter, len(told), shell, times, work)
        summary(times, work)
        status = OK
        if not options.keep:
            wait_for_person(work)
    except KeyboardInterrupt:
        print("\ninterrupted: ending what runs", file=sys.stderr)
        status = INTERRUPTED
    finally:
        shell.close()
        end(work, keep=options.keep and status == OK)
        signal.signal(signal.SIGTERM, before)
    return status


def clear(work: Path) -> None:
    """Make an empty folder for the story; an earlier demo's is deleted, a person's is not.

    Raises:
        CommandFailed: it is somebody's own.
    """
    if work.exists() and any(work.iterdir()) and not (work / MARKER).exists():
        raise CommandFailed(
            f"{work}: expected no such folder, or one that make demo has made; this one is somebody's own "
            "work. Move it, or delete it"
        )
    end(work, keep=False)
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    (work / MARKER).write_text("make demo may delete this folder\n", encoding="utf-8")


def tell(chapter: Chapter, of: int, shell: Shell, times: Times, work: Path) -> None:
    """Run a chapter's commands and note its time.

    Raises:
        CommandFailed: one did not end with 0.
    """
    watch = "".join(f"  watch: {each.page}" for each in made.organisations(work))
    heading(f"{chapter.number}/{of}  {chapter.title}  ({clock(times.whole)}){watch}")
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
        + "What was made until here stays in build/ for a look. `make demo` begins anew; when the same "
        "happens again, the words above are the ones to report."
    )


def summary(times: Times, work: Path) -> None:
    """Print how long what took, what there is now, and where to look."""
    heading("Done")
    for title, seconds in times.chapters.items():
        print(f"  {clock(seconds):>6}  {title}")
    print(f"  {clock(times.whole):>6}  in all\n")
    for organisation in made.organisations(work):
        print("\n".join(made.in_words(made.overview(organisation))))
        print(f"\nPage           {organisation.page}")
    for page in made.pages(work):
        print(f"To look at     {page}")
    print(f"Repositories   {work}")


def wait_for_person(work: Path) -> None:
    """On a terminal, leave the page there until somebody has looked at it."""
    if made.organisations(work) and sys.stdin.isatty():
        input("\nThe two accounts still run, and their page can be looked at. Enter ends them: ")


def end(work: Path, *, keep: bool) -> None:
    """End the accounts that run below a folder, or say how."""
    for organisation in made.organisations(work):
        if keep:
            print(f"\nThe accounts run on. To end them:\n  {PROGRAM} down --folder {organisation.folder}")
            continue
        command = [sys.executable, "-m", "mlops_sandbox.cli", "down", "--folder", organisation.folder]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def heading(text: str) -> None:
    """Print a line that the eye finds again."""
    print(f"\n=== {text} ===", flush=True)


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
