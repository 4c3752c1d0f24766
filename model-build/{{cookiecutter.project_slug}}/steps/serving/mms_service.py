"""A worker of multi-model-server without the toolkit.

SageMaker's Hugging Face images have multi-model-server start a worker with the toolkit's handler, which
imports PyTorch and transformers before it looks at a model. An ONNX model needs neither, so its package says
``MMS_DEFAULT_SERVICE_HANDLER=serving.mms_service:handle``, and a worker imports this instead,
multi-model-server's custom service (https://github.com/awslabs/multi-model-server/blob/master/docs/custom_service.md).

It calls the four functions of ``inference.py`` as the toolkit's ``HuggingFaceHandlerService`` (2.6.0) does:
the same arguments, the same answers, and every exception is HTTP 400 with the exception's text.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

# First, as the toolkit has it: a worker runs in multi-model-server's own folder and would look there first.
sys.path.insert(0, str(Path(__file__).parents[1]))
inference = importlib.import_module("inference")  # the model's program, as a server finds it: by its name

TEXT_TYPES = ("application/json", "text/csv")
"""What the toolkit decodes before it asks ``input_fn``."""

_loaded: Any = None


def handle(data: Any, context: Any) -> list[Any] | None:
    """Answer one request.

    Args:
        data: a list of one request, ``{"body": bytes, ...}``; None in the first call, when a worker starts:
            the model is loaded.
        context: ``mms.context.Context``: the model's folder, and the request's headers.

    Raises:
        PredictionException: what the model's functions have raised, as HTTP 400.
    """
    global _loaded
    if _loaded is None:
        _loaded = inference.model_fn(context.system_properties.get("model_dir"))
    if data is None:
        return None
    from mms.service import PredictionException  # in the image, not where the other steps run

    try:
        headers = context.request_processor[0].get_request_properties()
        content_type, accept = _header(headers, "content-type"), _header(headers, "accept")
        if not accept or accept == "*/*":
            accept = "application/json"
        body = data[0].get("body")
        text = body.decode("utf-8") if content_type in TEXT_TYPES else body
        request = inference.input_fn(text, content_type)
        answer = inference.output_fn(inference.predict_fn(request, _loaded), accept)
    except Exception as error:
        raise PredictionException(str(error), 400) from error
    context.set_response_content_type(0, accept)
    return [answer]


def _header(headers: dict[str, str], wanted: str) -> Any:
    return next((value for name, value in headers.items() if name.lower() == wanted), None)
