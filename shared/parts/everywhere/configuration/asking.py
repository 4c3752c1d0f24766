"""Asks a person before something is changed."""

import os
import sys
from collections.abc import Container

YES = "MLOPS_YES"
"""Environment variable: 1 answers every question with yes."""


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
