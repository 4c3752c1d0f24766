"""Runs one command and leaves no process of it behind. A script of its own: ``python -I -S supervisor.py …``.

    supervisor.py SCRATCH COMMAND [ARGUMENT…]

It stands between the sandbox and a job. Its standard input is a pipe from the sandbox:

* a line with a number of seconds: SIGTERM to the job, that much time to end, then SIGKILL to all its
  processes;
* the end of the pipe, because the sandbox closed it or was killed: SIGKILL at once.

When the job's main process has ended, whatever it left running is killed, as when a container ends: process
groups do not suffice for that, since torchrun gives each worker a session of its own. On Linux the
supervisor therefore adopts orphans (PR_SET_CHILD_SUBREAPER) and kills all its descendants. SCRATCH, the
job's temporary folder, is removed at the end.

Exit status: that of the command, or 128 plus the number of the signal that ended it, as a shell or Docker
report it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LOOK_EVERY = 0.05  # seconds


def main(scratch: str, command: list[str]) -> int:
    """Run the command to its end and return the exit status."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        job = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        shutil.rmtree(scratch, ignore_errors=True)
        # The codes of a shell, and of Docker, for a command that cannot be run.
        return 127 if isinstance(error, FileNotFoundError) else 126
    try:
        status = _wait(job)
    finally:
        _kill_all(job.pid)
        shutil.rmtree(scratch, ignore_errors=True)
    return 128 - status if status < 0 else status


def _wait(job: subprocess.Popen[bytes]) -> int:
    """Wait for the job or for an order to end it, whichever comes first."""
    child_ended = _wake_on_child()
    deadline: float | None = None
    while job.poll() is None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            break
        readable, _, _ = select.select([sys.stdin.fileno(), child_ended], [], [], left)
        if child_ended in readable:
            os.read(child_ended, 64)
        elif readable:
            order = os.read(sys.stdin.fileno(), 64)
            if not order:
                break
            deadline = time.monotonic() + float(order.split(b"\n")[0])
            _signal_group(job.pid, signal.SIGTERM)
    else:
        if deadline is not None:
            _wait_for_group(job.pid, deadline)
        return int(job.returncode)
    _signal_group(job.pid, signal.SIGKILL)
    return job.wait()


def _wait_for_group(group: int, deadline: float) -> None:
    """Let the others of the group act on SIGTERM too, when the main process has ended by it.

    In a container the main process has the id 1, which SIGTERM ends only if it has a handler; the launcher
    of a script is such a process, and the script saves its checkpoint meanwhile.
    """
    while time.monotonic() < deadline and any(_group_of(process) == group for process in _descendants()):
        time.sleep(_LOOK_EVERY)


def _group_of(process: int) -> int | None:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return None


def _wake_on_child() -> int:
    """Return a descriptor that becomes readable when a child ends."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # A child that ended before the handler was set is seen by the first poll().
    return reading


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _kill_all(group: int) -> None:
    """Kill the job's process group and every descendant, until there is none left."""
    _signal_group(group, signal.SIGKILL)
    while remaining := _descendants():
        for process in remaining:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.001)
    _reap()


def _reap() -> None:
    """Collect the adopted children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants() -> list[int]:
    """Return the living descendants of this process; an empty list where there is no /proc."""
    children: dict[int, list[int]] = {}
    try:
        names = [name for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []
    for name in names:
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # After the command's name, which may hold anything: state, parent, …
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state not in (b"Z", b"X"):
                children.setdefault(int(parent), []).append(int(name))
    found, queue = [], [os.getpid()]
    while queue:
        offspring = children.get(queue.pop(), [])
        found += offspring
        queue += offspring
    return found


if __name__ == "__main__":
    # The terminal's Ctrl-C is the sandbox's to handle; it then says how much time the job has.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
