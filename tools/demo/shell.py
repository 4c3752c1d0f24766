"""One bash that stays: what a command exports, where it goes to, what it starts is there for the next one."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

#: Commands arrive as names of files on descriptor 3; a mark and the exit status follow each one's output.
_LOOP = """\
set -o pipefail
while IFS= read -r -u 3 DEMO_FILE; do
  . "$DEMO_FILE" </dev/null 3<&-
  printf '%s %s\\n' "$0" "$?"
done
"""
KEPT_LINES = 25
#: What was started gets as long to end after SIGTERM.
END_SECONDS = 10.0


class ShellEnded(Exception):
    """Bash itself has ended, for example by `exit`."""


class Shell:
    """A bash in a session of its own: Ctrl-C in this terminal reaches it only through ``close``."""

    def __init__(self, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._say = say
        self._last: deque[str] = deque(maxlen=KEPT_LINES)
        self._scripts = tempfile.TemporaryDirectory(prefix="demo-")
        self._count = 0
        self._mark = f"::{secrets.token_hex(8)}::"
        commands, self._commands = os.pipe()
        # A first bash gives the end of the pipe the number 3, which it may have already.
        close = "" if commands == 3 else f" {commands}<&-"
        wrapper = f'exec bash --noprofile --norc -c "$1" "$2" 3<&{commands}{close}'
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", wrapper, "demo", _LOOP, self._mark],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(commands,),
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        os.close(commands)

    def run(self, text: str) -> int:
        """Run a command as if it were typed; its output goes to ``say``, line by line.

        Returns:
            its exit status.

        Raises:
            ShellEnded: there is no bash any more that could run another one.
        """
        self._last.clear()
        self._count += 1
        script = Path(self._scripts.name, f"{self._count}.sh")
        script.write_text(text + "\n", encoding="utf-8")
        with contextlib.suppress(BrokenPipeError):
            os.write(self._commands, f"{script}\n".encode())
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            # Output may end without a line break: then the mark is on its last line.
            printed, mark, status = line.rstrip("\n").partition(self._mark + " ")
            if printed or not mark:
                self._last.append(printed)
                self._say(printed)
            if mark:
                return int(status)
        raise ShellEnded(text)

    @property
    def last_lines(self) -> list[str]:
        """The end of what the latest command has printed."""
        return list(self._last)

    def close(self) -> None:
        """End bash and all that it has started and that is in its process group still."""
        os.close(self._commands)
        for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, 1.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._bash.pid, number)
            deadline = time.monotonic() + seconds
            while self._lives() and time.monotonic() < deadline:
                time.sleep(0.05)
        self._scripts.cleanup()

    def _lives(self) -> bool:
        self._bash.poll()  # until it is asked for, bash stays a zombie and keeps its group
        try:
            os.killpg(self._bash.pid, 0)
        except ProcessLookupError:
            return False
        return True
