"""One process tree of a job: start it, read its lines, end it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
#: The scripts that run inside a container: started by an image's Python, which has nothing of the sandbox.
INSIDE = Path(__file__).with_name("inside")
#: Progress bars end their lines with a carriage return.
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LONGEST_LINE = 64 * 1024  # bytes; more is given out in pieces


class Process:
    """A command under ``supervisor.py``: however it ends, none of its processes is left."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        on_line: Callable[[str], None],
    ) -> None:
        # In the system's temporary folder, not the job's: a path of a Unix socket is limited to 107 bytes.
        scratch = tempfile.mkdtemp(prefix="job-")
        supervised = [sys.executable, "-I", "-S", str(_SUPERVISOR), scratch]
        # A pipe of our own: when this process dies, however it dies, the supervisor sees its end.
        self._popen = subprocess.Popen(
            [*supervised, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environment, "TMPDIR": scratch, "TEMP": scratch, "TMP": scratch},
            cwd=folder,
            start_new_session=True,
            bufsize=0,
        )
        self._reader = threading.Thread(target=_read_lines, args=(self._popen.stdout, on_line), daemon=True)
        self._reader.start()
        self._stopping = False

    @property
    def pid(self) -> int:
        """Return the id of the supervisor, whose descendants the command's processes are."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Return the exit status, or None while the command runs."""
        return self._popen.poll()

    def stop(self, grace: float) -> None:
        """Send SIGTERM now, SIGKILL after ``grace`` seconds; return at once. Only the first call counts."""
        if not self._stopping and self._popen.stdin is not None:
            self._stopping = True
            with contextlib.suppress(BrokenPipeError):  # it has ended
                self._popen.stdin.write(f"{grace}\n".encode())

    def kill(self) -> None:
        """End all processes now."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        self.wait()

    def wait(self) -> int:
        """Wait for the end, with all lines read; return the exit status, 128 + signal for a signal."""
        status = self._popen.wait()
        self._reader.join()
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        return status


def wait_all(
    processes: Sequence[Process],
    *,
    stop: threading.Event,
    grace: float,
    deadline: float | None = None,
) -> tuple[list[int], str]:
    """Wait until all have ended; when one fails, or on ``stop``, or at the deadline, end the others.

    Args:
        processes: one for each host.
        stop: set by whoever wants the job to end.
        grace: seconds between SIGTERM and SIGKILL.
        deadline: on the clock of ``time.monotonic``.

    Returns:
        The exit statuses, in order, and why it ended: "ended", "stopped" or "timed out".
    """
    why = "ended"
    try:
        while any(process.poll() is None for process in processes):
            if why == "ended":
                failed = any(process.poll() for process in processes)
                if stop.is_set():
                    why = "stopped"
                elif deadline is not None and time.monotonic() >= deadline:
                    why = "timed out"
                if failed or why != "ended":
                    for process in processes:
                        process.stop(grace)
            stop.wait(0.02) if not stop.is_set() else time.sleep(0.02)
    except BaseException:
        for process in processes:
            process.kill()
        raise
    return [process.wait() for process in processes], why


def _read_lines(stream: IO[bytes], on_line: Callable[[str], None]) -> None:
    rest = b""
    while chunk := os.read(stream.fileno(), _LONGEST_LINE):
        *lines, rest = _LINE_END.split(rest + chunk)
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        for line in lines:
            if line:  # a progress bar's line begins with the end of the one before
                on_line(line.decode("utf-8", "replace"))
    if rest:
        on_line(rest.decode("utf-8", "replace"))
