"""Asks a person before something is changed."""

import os
import sys

YES = "MLOPS_YES"
"""Environment variable: 1 answers every question with yes."""


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to go on; without anybody to ask, only if that was said beforehand (`yes`, or MLOPS_YES=1)."""
    if yes or os.environ.get(YES) == "1":
        return True
    if not sys.stdin.isatty():
        print(
            f"Nothing is changed, because there is no terminal to ask on. Without asking: --yes, or {YES}=1"
        )
        return False
    try:
        answer = input(question).strip().lower() in ("y", "yes")
    except EOFError:
        answer = False
    if not answer:
        print("Nothing is changed.")
    return answer
