"""Bitbucket Data Center to Amazon S3, as two Lambda functions.

`webhook` answers Bitbucket at once: it checks the signature of an event and queues one message for each
branch that moved. `fetch` takes the messages: it gets the archive of the commit and writes it where
CodePipeline looks. It needs the standard library and boto3, which Lambda's Python runtimes have.
"""

import json
import sys
from typing import Literal

Level = Literal["INFO", "WARNING", "ERROR"]


def log(level: Level, message: str, **fields: object) -> None:
    """Print one JSON object on a line, for CloudWatch Logs Insights.

    Fields are names, counts and reasons: what helps without giving anything away. Never a secret, nor a body.
    """
    line = {"level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()
