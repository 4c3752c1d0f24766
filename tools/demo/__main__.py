"""`python -m demo`: the command line, and the order of things."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from demo import chapters, machine, made
from demo.chapters import Chapter, TutorialError
from demo.shell import Shell
from demo.story import CommandFailed, Times, clock, heading, tell, typed

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
  make demo                     all chapters; a page to watch is printed in chapter 1
  make demo ARGS=--list         the chapters and their commands, without running anything
  make demo ARGS="--until 4"    the first four
  make demo ARGS=--keep         leave the two accounts running afterwards, to play with
  make demo-model               the short form: one repository, one model, no accounts
"""


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
        "--build",
        type=Path,
        default=COLLECTION / "build",
        metavar="FOLDER",
        help="where the story's own folder is deleted and made (default: build/)",
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
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # nothing here is for a person's own account
    if missing := machine.problems(COLLECTION):
        raise CommandFailed("\n".join(["The demo cannot run here:", *(f"  {each}" for each in missing)]))
    work = options.build.absolute() / options.tutorial.stem
    clear(work)
    own = work.parent / "demo-settings"
    environment = machine.environment(own)
    machine.fill_plugin_cache(COLLECTION / "shared/foundation", own, environment)
    times, status = Times(), FAILED
    before = signal.signal(signal.SIGTERM, _interrupt)
    shell = Shell(COLLECTION, environment, lambda line: print(f"  {line}", flush=True))
    try:
        for chapter in told:
            watch = " ".join(each.page for each in made.organisations(work))
            tell(chapter, told[-1].number, shell, times, watch)
        summary(times, work)
        status = OK
        if not options.keep:
            wait_for_person(work)
    except KeyboardInterrupt:
        print("\ninterrupted: ending what runs", file=sys.stderr)
        status = INTERRUPTED
    finally:
        shell.close()
        end(work, keep=options.keep and status != INTERRUPTED)
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
        with contextlib.suppress(EOFError, KeyboardInterrupt):  # another way to say that it is enough
            input("\nThe two accounts still run, and their page can be looked at. Enter ends them: ")


def end(work: Path, *, keep: bool) -> None:
    """End the accounts that run below a folder, or say how."""
    for organisation in made.organisations(work):
        if keep:
            print(f"\nThe accounts run on. To end them:\n  {PROGRAM} down --folder {organisation.folder}")
            continue
        command = [
            sys.executable,
            "-m",
            "mlops_workbench.sandbox.cli",
            "down",
            "--folder",
            organisation.folder,
        ]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
