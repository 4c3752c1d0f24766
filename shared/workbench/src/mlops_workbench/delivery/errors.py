"""Errors that are a person's to mend: shown as lines of text, never as a traceback."""


class DeliveryError(Exception):
    """Something that the reader can put right; `str(error)` says what was expected and what was found."""


def first_line(text: str) -> str:
    """The first line that says something, for a message of one line."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason was given")
