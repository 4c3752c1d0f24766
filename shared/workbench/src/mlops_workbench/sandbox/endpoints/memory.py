"""How much memory a tree of processes holds, from /proc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident(root: int) -> int:
    """Return the bytes that a process's descendants hold; 0 where there is no /proc.

    What processes share counts for each of them; an instance is one process besides its launchers.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # After the command's name, which may hold anything: state, parent, …
            parent = int(path.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    total, queue = 0, list(children.get(root, []))
    while queue:
        process = queue.pop()
        queue += children.get(process, [])
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    return total
