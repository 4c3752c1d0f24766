"""One process of the toolkit's handler, as a worker of multi-model-server is one.

    python serving_probe.py JOB OUT

Runs under the container's Python. JOB is a JSON file: `began`, the clock (`time.monotonic`) as the process
was started; `model`, its folder; what serving_load.py is to ask; and `labelled`, texts whose labels are
wanted. What was found goes to OUT. The toolkit's own way decides whose code answers: with HF_TASK its
pipeline, with code/ in the model and SAGEMAKER_PROGRAM our inference.py.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main(job_file: str, out: str) -> None:
    """Load, answer, measure."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    import mms
    from mms.context import Context, RequestProcessor
    from mms.metrics.metrics_store import MetricsStore
    from sagemaker_huggingface_inference_toolkit.handler_service import HuggingFaceHandlerService

    imported, used = time.monotonic(), time.process_time()
    service = HuggingFaceHandlerService()
    context = Context("model", job["model"], {}, 1, None, mms.__version__)
    context.request_ids = {0: "request"}
    context.metrics = MetricsStore(context.request_ids, "model")
    service.initialize(context)

    def ask(body: bytes) -> bytes:
        context.request_processor = [RequestProcessor({"Content-Type": "application/json"})]
        (answer,) = service.handle([{"body": bytearray(body), "requestId": "request"}], context)
        return answer.encode() if isinstance(answer, str) else bytes(answer)

    import serving_load

    serving_load.first(ask)
    answered, in_all = time.monotonic(), time.process_time()
    found = {
        "cold start, s": answered - job["began"],
        "cold start, processor time, s": in_all,
        "cold start after the toolkit's imports, s": answered - imported,
        "cold start after the toolkit's imports, processor time, s": in_all - used,
        "memory at first answer, MB": serving_load.memory([os.getpid()]),
        **serving_load.figures(ask, job),
    }
    content = {"figures": found, "labels": serving_load.answered(ask, job["labelled"])}
    Path(out).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
