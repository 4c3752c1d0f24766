"""How a step ends when the data or a setting is at fault: a message to act on, exit code 1, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

MESSAGE_FILE = Path("/opt/ml/output/message")
"""What a processing container leaves here becomes ``ExitMessage`` in ``DescribeProcessingJob``.

A training container's file is ``/opt/ml/output/failure``, and the field ``FailureReason``."""

MESSAGE_LIMIT = 1024  # characters: the length of both fields


class StepError(Exception):
    """What was expected, what was found, where, and what to do about it."""


def run(step: Callable[[], int | None], message_file: Path = MESSAGE_FILE) -> int:
    """Run a step; return its exit code, or 1 after a ``StepError`` or an error of the file system.

    The message goes to the standard error and to ``message_file``; outside a container, where even the folder
    above the file's own is missing, to the standard error alone. Any other exception is a mistake in the
    step: its name goes to the file too, and its traceback is kept.
    """
    try:
        return step() or 0
    except StepError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    except Exception as error:
        _leave(f"{type(error).__name__}: {error}", message_file)
        raise
    print(f"error: {message}", file=sys.stderr, flush=True)
    _leave(message, message_file)
    return 1


def _leave(message: str, file: Path) -> None:
    if not file.parent.parent.is_dir():
        return
    try:
        file.parent.mkdir(exist_ok=True)
        file.write_text(message[:MESSAGE_LIMIT], encoding="utf-8")
    except OSError as error:
        print(f"{file}: the message could not be written: {error.strerror}", file=sys.stderr)


def shorten(text: str, width: int = 60) -> str:
    """Return a text as a message shows it: on one line, in double quotes, cut after ``width`` characters."""
    line = " ".join(text[: width * 2].split())
    return f'"{line[:width].rstrip()}…"' if len(line) > width or len(text) > width * 2 else f'"{line}"'


def listed(names: list[str], limit: int = 10) -> str:
    """Return the names separated by commas, at most ``limit`` of them and then how many more there are."""
    more = f", and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
