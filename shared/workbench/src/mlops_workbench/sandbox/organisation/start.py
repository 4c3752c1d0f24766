"""Starting and ending the background process, and knowing that it is well."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.follow import last_lines
from mlops_workbench.sandbox.organisation import record
from mlops_workbench.sandbox.organisation.record import Organisation

START_SECONDS = 120.0
#: A job has 120 s to end after SIGTERM, and then the state is saved.
END_SECONDS = 180.0
Say = Callable[[str], None]


def start(organisation: Organisation, images: Path | None, say: Say = print) -> Organisation:
    """Start the process and wait until it answers; one that runs in the folder is ended first.

    Raises:
        SandboxError: it did not start; the message has the end of its log.
    """
    folder = Path(organisation.folder)
    if (before := record.read(folder)) is not None and before.running:
        say(f"ending process {before.process[0]} of this folder, to start again")
        stop(folder, say)
    log = record.log_path(folder)
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SandboxError(f"{folder}: cannot be used as the sandbox's folder: {error.strerror}") from None
    options = {
        "organisation": dataclasses.asdict(organisation),
        "images": str(images.absolute()) if images else None,
    }
    # A variable that names another endpoint or profile is for the person's own calls.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlops_workbench.sandbox.daemon", json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C in this terminal is not for it
        )
    try:
        return _wait(folder, process)
    except BaseException:
        process.terminate()
        raise


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> Organisation:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = "\n  ".join(last_lines(record.log_path(folder), 8))
            raise SandboxError(
                f"{folder}: the process ended with code {process.returncode}; the end of "
                f"{record.log_path(folder)}:\n  {lines}"
            )
        found = record.read(folder)
        if found is not None and found.process[:1] == [process.pid] and healthy(found):
            return found
        time.sleep(0.05)
    raise SandboxError(
        f"{folder}: it has not answered in {START_SECONDS:.0f} s; see {record.log_path(folder)}"
    )


def healthy(organisation: Organisation) -> bool:
    """Tell whether every account of the organisation answers."""
    try:
        for account in organisation.accounts:
            organisation.client("sts", account).get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True


def stop(folder: Path, say: Say = print) -> bool:
    """End the process of a folder and wait for it; returns whether there was one.

    Raises:
        SandboxError: it is still ending after ``END_SECONDS``.
    """
    found = record.read(folder)
    if found is None or not found.running:
        return False
    os.kill(found.process[0], signal.SIGTERM)
    begun = time.monotonic()
    told = False
    while found.running and not reaped(found.process[0]):
        waited = time.monotonic() - begun
        if waited > 5 and not told:
            told = True
            say("waiting for running jobs to end (they have 120 s)")
        if waited > END_SECONDS:
            raise SandboxError(
                f"{folder}: process {found.process[0]} has not ended in {END_SECONDS:.0f} s; "
                f"see {record.log_path(folder)}, or end it with `kill -9 {found.process[0]}`"
            )
        time.sleep(0.05)
    return True


def reaped(pid: int) -> bool:
    """Tell whether a child of this process has ended: until it is asked for, it stays a zombie."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
