"""What the functions say: errors for a person, because they become a step's FailureReason, and log lines."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

Level = Literal["INFO", "WARNING", "ERROR"]


class Refused(Exception):
    """The file is not answered; the text is one sentence that says why, and what to do."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what boto3 raises into one sentence that begins with `what` was touched.

    Raises:
        Refused: AWS did not answer as wished.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Refused(f"{what}: {' '.join(str(error).split())}") from error


def code(error: ClientError) -> str:
    """AWS's name for an error, such as AccessDenied; a status such as 404 where an answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def log(level: Level, message: str, **fields: object) -> None:
    """One JSON object on a line, for CloudWatch Logs Insights: names and counts, never a file's content."""
    sys.stdout.write(json.dumps({"level": level, "message": message, **fields}, default=str) + "\n")
    sys.stdout.flush()
