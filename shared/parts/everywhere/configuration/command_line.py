"""What every command line of a repository has: commands, their help, questions, and errors as lines.

Imports nothing that is to be installed: the doctor takes from here what shows text, whatever Python runs it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from . import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

S = TypeVar("S")

YES = "MLOPS_YES"
"""Environment variable: 1 answers every question with yes."""

_MARKS = {True: "ok     ", False: "PROBLEM", None: "note   "}


class CommandLine(Generic[S]):
    """The commands of a package.

    Args:
        package: its name; `python -m PACKAGE` runs it.
        description: one line.
        load: reads the repository's settings from its top folder.
        epilog: examples and environment variables, below the help of the whole and of each command.
    """

    def __init__(
        self, package: str, description: str, load: Callable[[Path], S], epilog: str | None = None
    ) -> None:
        self._load, self._epilog = load, epilog
        self.parser = argparse.ArgumentParser(
            prog=f"python -m {package}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.parser.add_argument(
            "--root", type=Path, default=Path(), help="the repository's top folder (default: this folder)"
        )
        self._commands = self.parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        self, name: str, command: Callable[[S, argparse.Namespace], int], summary: str
    ) -> argparse.ArgumentParser:
        """Adds a command, which returns its exit status; its own options go to what is returned."""
        found = self._commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=self._epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        found.set_defaults(command=command)
        return found

    def run(self, arguments: Sequence[str] | None) -> int:
        """Runs one command; the exit status is 0 only if it did what it was asked to.

        Args:
            arguments: None for those of this process.

        Returns:
            1 after an error that a person can mend, 130 after Ctrl-C. argparse itself ends the process: 2.
        """
        show_what_can_be_shown()
        options = self.parser.parse_args(arguments)
        from botocore.exceptions import (  # the settings need it too
            BotoCoreError,
            ClientError,
            ProfileNotFound,
        )

        try:
            status: int = options.command(self._load(options.root.absolute()), options)
            return status
        except UserError as error:
            print(error, file=sys.stderr)
            return 1
        except ProfileNotFound as error:
            print(f"AWS settings: {error}: choose another with AWS_PROFILE, or unset it", file=sys.stderr)
            return 1
        except (ClientError, BotoCoreError) as error:  # what no command has words of its own for
            print(f"AWS: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:  # `… | head`
            sys.stderr.close()
            return 0


class Finding(NamedTuple):
    """One thing that `check` has looked at.

    Attributes:
        good: True: in order; False: what follows a push would fail; None: could not be looked at from here.
        text: what was found, for a person.
    """

    good: bool | None
    text: str

    def __str__(self) -> str:
        """The line that a person reads."""
        return f"{_MARKS[self.good]}  {self.text}"


def shown(findings: Iterable[Finding]) -> int:
    """Prints what was found, each as soon as it is; the exit status: 1 when there is a problem."""
    problems = 0
    for finding in findings:
        say(str(finding))
        problems += finding.good is False
    return 1 if problems else 0


def agreed(question: str, *, yes: bool, variable: str = YES, accepted: Container[str] = ("y", "yes")) -> bool:
    """Whether to go on; without anybody to ask, only if that was said beforehand.

    Args:
        question: what is asked.
        yes: it was said, by --yes.
        variable: of the environment, by which it can be said as well.
        accepted: answers that mean yes, in small letters.
    """
    if yes or os.environ.get(variable) == "1":
        return True
    if not sys.stdin.isatty():
        print(
            "Nothing is changed, because there is no terminal to ask on. "
            f"To do this without asking: --yes, or {variable}=1"
        )
        return False
    try:
        answer = input(question).strip().lower() in accepted
    except EOFError:
        answer = False
    if not answer:
        print("Nothing is changed.")
    return answer


def say(line: str) -> None:
    """Prints at once, as a build's log is followed while it grows."""
    print(line, flush=True)


def show_what_can_be_shown() -> None:
    """From here on a character that the output does not have is shown as ?, and is no error.

    Windows gives a pipe the machine's code page (cp1252), and a build may run in the C locale. Neither has an
    arrow, and texts and labels may have anything.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's stand-in has none
        if reconfigure is not None:
            reconfigure(errors="replace")
