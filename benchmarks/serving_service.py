"""Our inference.py under multi-model-server without the toolkit: a worker imports this and nothing of theirs.

Measured by serving_container.py, which puts it into a model's code/ and sets MMS_DEFAULT_SERVICE_HANDLER to
``serving_service:handle``; multi-model-server prefers that variable to what the toolkit has written into its
configuration. It calls the four functions as the toolkit's handler would.
"""

from __future__ import annotations

from typing import Any

import inference
from mms.service import PredictionException

_loaded: Any = None


def handle(data: Any, context: Any) -> list[Any] | None:
    """Answer one request; the first call, without one, loads the model."""
    global _loaded
    if _loaded is None:
        _loaded = inference.model_fn(context.system_properties.get("model_dir"))
    if data is None:
        return None
    headers = {
        name.lower(): value for name, value in context.request_processor[0].get_request_properties().items()
    }
    content_type, accept = headers.get("content-type", ""), headers.get("accept")
    if not accept or accept == "*/*":
        accept = "application/json"
    body = bytes(data[0].get("body"))
    try:
        text = body.decode() if content_type in ("application/json", "text/csv") else body
        answer = inference.output_fn(
            inference.predict_fn(inference.input_fn(text, content_type), _loaded), accept
        )
    except Exception as error:
        raise PredictionException(str(error), 400) from error
    context.set_response_content_type(0, accept)
    return [answer]
