"""Structured logs: one JSON object a line, for CloudWatch Logs Insights. Never a secret, never a body."""

import json
import sys
from typing import Literal

Level = Literal["INFO", "WARNING", "ERROR"]


def log(level: Level, message: str, **fields: object) -> None:
    """Print one line. Fields are names, counts and reasons: what helps without giving anything away."""
    line = {"level": level, "message": message, **fields}
    sys.stdout.write(json.dumps(line, ensure_ascii=True, default=str) + "\n")
    sys.stdout.flush()
