"""Requests at a steady pace to one endpoint, with the count of those that were not answered."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config


@dataclass
class Tally:
    """What came of the requests."""

    seconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many there were."""
        return len(self.seconds) + len(self.lost)


@contextmanager
def steady_requests(
    make_client: Callable[[Config], Any], endpoint: str, texts: list[str], every: float = 0.5
) -> Iterator[Tally]:
    """Ask again and again while the block runs, one request after the other.

    Args:
        make_client: of sagemaker-runtime, with a botocore configuration. Nothing is tried twice here: a
            request that the endpoint loses counts.
        endpoint: its name.
        texts: asked in turn.
        every: seconds between two requests.
    """
    client = make_client(Config(retries={"total_max_attempts": 1}))
    tally, over = Tally(), threading.Event()

    def ask() -> None:
        number = 0
        while not over.is_set():
            began = time.monotonic()
            try:
                answer = client.invoke_endpoint(
                    EndpointName=endpoint,
                    ContentType="application/json",
                    Body=json.dumps({"inputs": texts[number % len(texts)]}),
                )
                json.loads(answer["Body"].read())
                tally.seconds.append(time.monotonic() - began)
            except Exception as error:  # whatever it is, nobody got an answer
                tally.lost.append(str(error))
            number += 1
            over.wait(every)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield tally
    finally:
        over.set()
        thread.join()
