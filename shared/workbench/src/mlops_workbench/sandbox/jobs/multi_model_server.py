"""The Java server of SageMaker's Hugging Face images, bound to loopback.

Its own ``serve`` binds to all addresses and needs a setuptools that still has pkg_resources;
``multi-model-server`` is started as ``serve`` would start it, with the same settings but the address.
"""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Mapping
from pathlib import Path

from mlops_workbench.sandbox.errors import RESOURCE_LIMIT, JobFailed
from mlops_workbench.sandbox.images import Image

_HANDLER = "sagemaker_huggingface_inference_toolkit.handler_service"


def command(
    image: Image, folder: Path, model_dir: str, environment: Mapping[str, str]
) -> tuple[list[str], int]:
    """Write the configuration and return the command and the port.

    Args:
        image: its environment has multi-model-server; Java is on this machine.
        folder: where the configuration goes.
        model_dir: the model's folder as the server sees it.
        environment: of the container; SAGEMAKER_MAX_PAYLOAD_IN_MB is the largest request,
            SAGEMAKER_MODEL_SERVER_WORKERS how many processes have the model.

    Raises:
        JobFailed: multi-model-server is not installed.
    """
    program = image.python.with_name("multi-model-server")
    if not program.is_file():
        raise JobFailed(
            f"{program}: no such file; multi-model-server is not installed there", kind=RESOURCE_LIMIT
        )
    port = _free_port()
    # The configuration that sagemaker-inference ships: to standard output, so into the job's log.
    logging = next(
        image.python.parent.parent.glob("lib/python*/site-packages/sagemaker_inference/etc/log4j2.xml")
    )
    properties = folder / "mms.properties"
    settings = {
        "enable_envvars_config": "true",
        "decode_input_request": "false",
        "load_models": "ALL",
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{port}",
        # the image starts one for each core if nothing is said; for a rehearsal one is enough
        "default_workers_per_model": environment.get("SAGEMAKER_MODEL_SERVER_WORKERS") or "1",
        "default_response_timeout": "60",
        "default_service_handler": _HANDLER,
        "vmargs": "-Xmx256m",
    }
    if payload := int(environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or 0):
        settings["max_request_size"] = str(payload * 1024 * 1024)
    properties.write_text("\n".join(f"{key}={value}" for key, value in settings.items()) + "\n", "utf-8")
    start = [str(program), "--start", "--foreground", "--model-store", "/"]
    files = ["--mms-config", str(properties), "--log-config", str(logging)]
    return [*start, *files, "--models", f"model={model_dir}"], port


def _free_port() -> int:
    """Return a free port below 32767, the highest that multi-model-server 1.1.11 takes (Short.MAX_VALUE)."""
    while True:
        port = random.randrange(10000, 32767)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
