"""The frame of a repository's command line: commands, help, and errors that are a person's as lines."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from configuration.console import show_what_can_be_shown
from configuration.errors import UserError

S = TypeVar("S")

Command = Callable[[S, argparse.Namespace], int]


class CommandLine(Generic[S]):
    """The commands of a package.

    Args:
        package: its name; `python -m PACKAGE` runs it.
        description: one line.
        epilog: examples and environment variables.
        load: reads the repository's settings from its top folder.
    """

    def __init__(self, package: str, description: str, epilog: str, load: Callable[[Path], S]) -> None:
        self._epilog, self._load = epilog, load
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

    def add(self, name: str, command: Command[S], summary: str) -> argparse.ArgumentParser:
        """Adds a command; its own options go to what is returned."""
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
        """Runs one command; the exit status is 0 only if it did what it was asked to."""
        show_what_can_be_shown()
        options = self.parser.parse_args(arguments)
        try:
            command: Command[S] = options.command
            return command(self._load(options.root.absolute()), options)
        except UserError as error:
            print(error, file=sys.stderr)
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


def say(line: str) -> None:
    """Prints at once, as a build's log is followed while it grows."""
    print(line, flush=True)
