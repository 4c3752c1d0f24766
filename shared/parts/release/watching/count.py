"""The function that reads an endpoint's log: what its models said about their answers becomes metrics.

CloudWatch Logs sends it the lines with the marker (a subscription filter). Why not straight from the
container: the server there puts something of its own before each line, so that none is a metric by itself.
"""

import base64
import gzip
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import figures, metrics


def handler(event: Mapping[str, Any], _context: object) -> None:
    """Prints metrics of a batch of log lines, those of one stream.

    Args:
        event: `awslogs.data`: gzip in base64 of `{"messageType", "logEvents": [{"message"}]}`.
    """
    batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    if batch["messageType"] != "DATA_MESSAGE":  # CloudWatch asks now and then whether it arrives
        return
    counts, unread = count(each["message"] for each in batch["logEvents"])
    metrics.put(metrics.documents(counts, os.environ["NAME"], os.environ["MODEL_VERSION"]))
    if unread:
        print(f"{unread} lines of {batch['logGroup']} could not be read: is the model of a newer template?")


def count(messages: Iterable[str]) -> tuple[figures.Counts, int]:
    """The sum of what the lines say, and how many of them could not be read."""
    counts, unread = figures.Counts(), 0
    for message in messages:
        content = figures.of_line(message)
        try:
            if content is None:
                raise ValueError("no JSON")
            counts.add(content)
        except ValueError:
            unread += 1
    return counts, unread
