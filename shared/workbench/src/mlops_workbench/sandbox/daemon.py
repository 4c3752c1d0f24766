"""The background process: ``python -m mlops_workbench.sandbox.daemon`` with its options as JSON.

It holds the sandbox and the web page until SIGTERM, then saves the state. Its standard output and error are
the log file; ``start`` opens it.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

from mlops_workbench.sandbox.console.server import start
from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.images import Images, ImagesError
from mlops_workbench.sandbox.loopback import free_port
from mlops_workbench.sandbox.organisation import record
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.server import Sandbox
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import process_identity

#: Seconds between two snapshots; one is written at the end as well, so only `kill -9` loses as much as this.
SAVE_INTERVAL = 30.0
logger = logging.getLogger("mlops_workbench.sandbox.daemon")


def main(text: str) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    options = json.loads(text)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # botocore reports at this level that it found keys, for every client that is made.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signal_number, frame: _end(end, signal_number, frame))
    try:
        hold(Organisation(**options["organisation"]), options["images"], end)
    except (SandboxError, ImagesError) as error:
        logger.error("%s", error)
        return 1
    return 0


def hold(organisation: Organisation, images: str | None, end: threading.Event) -> None:
    """Keep the organisation open until ``end`` is set; its record is written when it can be used."""
    # The same addresses as before: queues have them in their URLs, and shells in their variables.
    before = record.read(Path(organisation.folder)) or organisation
    with Sandbox(
        organisation.folder,
        Images.load(Path(images)) if images else None,
        accounts=organisation.accounts,
        region=organisation.region,
        enforce_iam=organisation.enforce_iam,
        port=free_port(before.endpoint),
    ) as sandbox:
        for notice in sandbox.notices:
            logger.warning("%s", notice)
        opened = replace(
            organisation, process=process_identity(), endpoint=sandbox.endpoint_url, page=before.page
        )
        page = start(opened)
        try:
            record.write(replace(opened, page=page.url))
            logger.info("serving on %s, page %s", opened.endpoint, page.url)
            while not end.wait(SAVE_INTERVAL):
                sandbox.save()
        finally:
            page.stop()
    logger.info("ended; the state is saved")


def _end(end: threading.Event, signal_number: int, frame: FrameType | None) -> None:
    end.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
