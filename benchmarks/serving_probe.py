"""One process that answers, as a worker of multi-model-server is one.

    python serving_probe.py JOB OUT

Runs under the container's Python. JOB is a JSON file: `began`, the clock (`time.monotonic`) as the process
was started; `model`, its folder; what serving_load.py is to ask; and `labelled`, texts whose labels are
wanted. What was found goes to OUT. The service is the toolkit's, whose own way decides whose code answers:
with HF_TASK its pipeline, with code/ in the model and SAGEMAKER_PROGRAM our inference.py. Or it is the one
that MMS_DEFAULT_SERVICE_HANDLER names, as for multi-model-server.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(job_file: str, out: str) -> None:
    """Load, answer, measure."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    import mms
    from mms.context import Context, RequestProcessor
    from mms.metrics.metrics_store import MetricsStore

    context = Context("model", job["model"], {}, 1, None, mms.__version__)
    context.request_ids = {0: "request"}
    context.metrics = MetricsStore(context.request_ids, "model")
    handle = service(context)

    def ask(body: bytes) -> bytes:
        context.request_processor = [RequestProcessor({"Content-Type": "application/json"})]
        (answer,) = handle([{"body": bytearray(body), "requestId": "request"}], context)
        return answer.encode() if isinstance(answer, str) else bytes(answer)

    import serving_load

    serving_load.first(ask)
    found = {
        "cold start, s": time.monotonic() - job["began"],
        "cold start, processor time, s": time.process_time(),
        "memory at first answer, MB": serving_load.memory([os.getpid()]),
        **serving_load.figures(ask, job),
    }
    content = {"figures": found, "labels": serving_load.answered(ask, job["labelled"])}
    Path(out).write_text(json.dumps(content), encoding="utf-8")


def service(context: Any) -> Callable[..., list[Any]]:
    """Load the model; returns what answers."""
    if named := os.environ.get("MMS_DEFAULT_SERVICE_HANDLER"):
        module, _, function = named.partition(":")
        handle: Callable[..., list[Any]] = getattr(importlib.import_module(module), function)
        handle(None, context)
        return handle
    from sagemaker_huggingface_inference_toolkit.handler_service import HuggingFaceHandlerService

    toolkit = HuggingFaceHandlerService()
    toolkit.initialize(context)
    handle = toolkit.handle
    return handle


if __name__ == "__main__":
    main(*sys.argv[1:])
