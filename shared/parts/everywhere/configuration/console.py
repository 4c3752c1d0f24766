"""What is printed where a console or a pipe does not have every character."""

import sys


def show_what_can_be_shown() -> None:
    """From here on a character that the output does not have is shown as ?, and is no error.

    Windows gives a pipe the machine's code page (cp1252), and a build may run in the C locale. Neither has an
    arrow, and texts and labels may have anything.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a test's stand-in has none
        if reconfigure is not None:
            reconfigure(errors="replace")
