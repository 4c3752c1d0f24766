"""A command as a person types it, with all that it starts: time, processor time, temporary disk.

A launcher of its own starts the command and adopts whatever detaches itself from it (PR_SET_CHILD_SUBREAPER,
prctl(2)), so that nothing escapes: the processor time is that of every process that has ended, waited for by
its parent or not, and of those that still run as the command ends, which the launcher ends then. Where there
is no Linux, it is that of the processes that were waited for.

The standard library only, and the launcher imports nothing of this folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

LIMIT = 3 * 3600
"""Seconds after which a command is ended: what hangs shall not keep the others from being measured."""
PATIENCE = 20
"""Seconds from SIGTERM to SIGKILL."""
_DEATH_SIGNAL, _SUBREAPER = 1, 36


class Spent(NamedTuple):
    """What a command took."""

    seconds: float
    processor: float
    """Seconds of processor time, of all its processes."""
    status: int
    """Its exit status; below 0 the number of the signal that ended it."""
    left: int
    """How many processes it left running; they are ended."""


def run(command: Sequence[str | Path], folder: Path, env: Mapping[str, str], log: Path) -> Spent:
    """Run a command to its end, in a folder, with just these variables; all that it prints goes to a file.

    An exception, such as Ctrl-C, ends all its processes first.

    Raises:
        RuntimeError: the launcher was ended by somebody else.
    """
    with tempfile.TemporaryDirectory() as name, log.open("ab") as output:
        found = Path(name) / "spent.json"
        launched = [sys.executable, "-I", __file__, str(found), *map(str, command)]
        with subprocess.Popen(
            launched, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as launcher:
            try:
                launcher.wait()
            except BaseException:
                launcher.terminate()
                launcher.wait()
                raise
        if not found.is_file():
            raise RuntimeError(f"{' '.join(map(str, command))[:200]}: ended from outside")
        return Spent(*json.loads(found.read_text(encoding="utf-8")))


class Peak:
    """The most that a folder took while it was watched."""

    bytes = 0


@contextlib.contextmanager
def watched(folder: Path, interval: float = 5.0) -> Iterator[Peak]:
    """Look at the size of a folder every some seconds, and less often if looking takes long."""
    peak, ended = Peak(), threading.Event()

    def watch() -> None:
        wait = 0.0
        while not ended.wait(wait):
            began = time.monotonic()
            peak.bytes = max(peak.bytes, size(folder))
            wait = max(interval, 20 * (time.monotonic() - began))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
        peak.bytes = max(peak.bytes, size(folder))


def size(folder: Path) -> int:
    """Bytes that a folder takes on the disk, in blocks; a file of several names counts once.

    What vanishes meanwhile is left out.
    """
    whole, left = 0, [str(folder)]
    seen: set[tuple[int, int]] = set()
    while left:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        stat = entry.stat(follow_symlinks=False)
                        if stat.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                            if (place := (stat.st_dev, stat.st_ino)) in seen:
                                continue
                            seen.add(place)
                        whole += stat.st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            left.append(entry.path)
        except OSError:
            continue
    return whole


def launch(found: Path, command: Sequence[str]) -> int:
    """Run the command, adopt what it leaves, write what all of it took, and end what is left."""
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        end(signal.SIGKILL if stopping else signal.SIGTERM)
        stopping = True
        signal.alarm(PATIENCE)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, stop)
    # Ctrl-C reaches the command as well; who has called this says what becomes of the rest
    signal.signal(signal.SIGINT, lambda number, frame: None)
    adopt()
    signal.alarm(LIMIT)
    began, processor, seconds, status = time.perf_counter(), 0.0, 0.0, None
    process = subprocess.Popen(command)
    with contextlib.suppress(ChildProcessError):
        # those that nobody has waited for are the launcher's as soon as the command has ended
        while (ended := os.wait4(-1, 0 if status is None else os.WNOHANG))[0]:
            processor += ended[2].ru_utime + ended[2].ru_stime
            if ended[0] == process.pid:
                seconds = time.perf_counter() - began
                status = process.returncode = os.waitstatus_to_exitcode(ended[1])
    left = descendants()
    processor += sum(ticks(pid) for pid in left) / os.sysconf("SC_CLK_TCK")
    found.write_text(json.dumps([seconds, processor, status, len(left)]), encoding="utf-8")
    stop(signal.SIGTERM, None)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return 0


def adopt() -> None:
    """Become the parent of what loses its own, and end if whoever has started this ends; Linux only."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(_SUBREAPER, 1, 0, 0, 0)
        library.prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)


def end(number: int) -> None:
    """Send a signal to all that this process has started or adopted."""
    for pid in descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def descendants() -> list[int]:
    """The processes that run below this one; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for each in Path("/proc").glob("[0-9]*"):
        if (fields := stat_of(int(each.name))) and fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(each.name))
    found, left = [], [os.getpid()]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def ticks(pid: int) -> int:
    """Processor time of a process and of the children that it has waited for; 0 if it has ended."""
    return sum(map(int, stat_of(pid)[11:15]))


def stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc_pid_stat(5)); none if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(launch(Path(sys.argv[1]), sys.argv[2:]))
