"""Applying the foundation in the background: ``python -m mlops_workbench.sandbox.organisation.applying``.

Most of that time Terraform's provider waits for S3 and SQS, while all that repositories need is there. So
``up --no-wait`` leaves it to this process, and a command that needs the foundation waits until it can be
used: when the parameters are there that say what it has. A failure is told by the next command.

What it says is in ``background/foundation.txt``, how far it is in ``background/foundation.json``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from mlops_workbench.sandbox.errors import SandboxError
from mlops_workbench.sandbox.follow import last_lines
from mlops_workbench.sandbox.organisation import foundation, record, start
from mlops_workbench.sandbox.organisation.record import Organisation
from mlops_workbench.sandbox.services.sagemaker.pipelines.journal import is_alive, process_identity

FILE, LOG = "foundation.json", "foundation.txt"
INTERVAL = 0.5
#: Terraform ends within seconds, once the requests that are on their way are answered.
END_SECONDS = 20.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """How far it is.

    Attributes:
        process: pid and start of its process (``journal.process_identity``).
        ended: whether it has done all.
        problem: why it has failed; "" if it has not.
    """

    process: list[int] = field(default_factory=list)
    ended: bool = False
    problem: str = ""


def begin(organisation: Organisation, source: Path, given: Sequence[tuple[str, str]]) -> None:
    """Start to apply the foundation, and return at once.

    Args:
        organisation: one that runs.
        source: the folder with the roots.
        given: a person's own values of variables.
    """
    folder = Path(organisation.folder)
    with log_path(folder).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in this terminal is not for it
        )
    _write(folder, State(process_identity(process.pid)))
    # It begins with what it reads here, so that what it writes comes later than the line above.
    options = {
        "organisation": dataclasses.asdict(organisation),
        "source": str(source),
        "given": [list(pair) for pair in given],
    }
    assert process.stdin is not None
    process.stdin.write(json.dumps(options).encode())
    process.stdin.close()


def wait(organisation: Organisation, say: Say = print) -> None:
    """Wait until a foundation that is applied in the background can be used; at once if none is.

    Raises:
        SandboxError: it could not be applied, or was cut off.
    """
    folder = Path(organisation.folder)
    told = False
    while (state := _read(folder)) is not None and not state.ended:
        if state.problem:
            raise SandboxError(f"the foundation could not be applied: {state.problem}")
        if not is_alive(state.process):
            if _read(folder) != state:  # it has ended between these two looks
                continue
            lines = "\n  ".join(last_lines(log_path(folder), 8))
            raise SandboxError(
                f"applying the foundation was cut off; `mlops-sandbox up` goes on with it:\n  {lines}"
            )
        if _can_be_used(organisation):
            return
        if not told:
            told = True
            say("the foundation is being applied: waiting until it can be used")
        time.sleep(INTERVAL)


def in_words(folder: Path) -> str:
    """Return a line about a foundation that is applied in the background; "" if there is nothing to say."""
    state = _read(folder)
    if state is None or state.ended:
        return ""
    if state.problem:
        return f"the foundation could not be applied: {state.problem}"
    if not is_alive(state.process):
        return "applying the foundation was cut off; `mlops-sandbox up` goes on with it"
    return f"the foundation is being applied: {log_path(folder)}"


def end(folder: Path) -> None:
    """End what applies a foundation in the background, if something does, and forget it."""
    state = _read(folder)
    if state is not None and is_alive(state.process):
        pid = state.process[0]
        with contextlib.suppress(ProcessLookupError):
            # Terraform's own way to be stopped: its providers finish what they have begun
            os.killpg(pid, signal.SIGINT)
            deadline = time.monotonic() + END_SECONDS
            while is_alive(state.process) and not start.reaped(pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            os.killpg(pid, signal.SIGKILL)
    (record.own_folder(folder) / FILE).unlink(missing_ok=True)


def log_path(folder: Path) -> Path:
    """Return the file that the process writes to."""
    return record.own_folder(folder) / LOG


def _can_be_used(organisation: Organisation) -> bool:
    """Tell whether the foundation says to repositories and to both environments what it has."""
    places = (
        (organisation.shared_services, "foundation"),
        (organisation.shared_services, "foundation-staging"),
        (organisation.production, "foundation-production"),
    )
    try:
        for account, name in places:
            organisation.client("ssm", account).get_parameter(Name=f"/{organisation.prefix}/{name}")
    except ClientError as error:
        if error.response["Error"]["Code"] == "ParameterNotFound":
            return False
        raise
    return True


def _read(folder: Path) -> State | None:
    try:
        return State(**json.loads((record.own_folder(folder) / FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(folder: Path, state: State) -> None:
    path = record.own_folder(folder) / FILE
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(dataclasses.asdict(state)), "utf-8")
    os.replace(draft, path)


def main() -> int:
    """Apply what standard input says; the exit code is 0 if that went well."""
    # Terraform gets the signal as well, and ends; then this does.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    options = json.load(sys.stdin)
    organisation = Organisation(**options["organisation"])
    folder = Path(organisation.folder)
    state = State(process_identity())
    try:
        foundation.apply(
            organisation,
            Path(options["source"]),
            [(name, value) for name, value in options["given"]],
            lambda text: print(text, flush=True),
        )
    except SandboxError as error:
        print(error, flush=True)
        _write(folder, dataclasses.replace(state, problem=str(error)))
        return 1
    print("the foundation is applied", flush=True)
    _write(folder, dataclasses.replace(state, ended=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
