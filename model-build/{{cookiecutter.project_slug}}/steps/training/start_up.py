"""What has to be arranged before PyTorch and transformers are loaded. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

UNUSED = ("boto3", "datasets", "scipy", "sklearn")
"""What transformers and accelerate load if it is there, for features that no training here has."""

_WAITING = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h

STAT = Path("/proc/stat")
CGROUPS = Path("/sys/fs/cgroup")


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the libraries are to read when they are loaded; what is set already stays.

    cuBLAS needs a workspace to be deterministic; a job tells the model hub nothing; DDP keeps its advice.
    """
    chosen = {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        **({} if environment.keys() & _WAITING else waiting(busy_cores())),
    }
    found = {name: value for name, value in chosen.items() if name not in environment}
    if threads := own_threads(environment, *cpus()):
        found["OMP_NUM_THREADS"] = str(threads)
    return found


def waiting(busy: float) -> dict[str, str]:
    """Return how a thread waits for the others of its process, hundreds of times in a pass.

    Spinning, as the OpenMP library does by itself for milliseconds, is quick as long as it has a core; when
    another process wants that core, a step takes twenty times as long. Sleeping costs a step 40 % on a quiet
    machine and nothing more on a busy one. So it sleeps where others compute, and elsewhere spins shortly:
    within 5 % of the library's own way, and twice the time of sleeping should others come later (MiniLM,
    2 cores).

    Args:
        busy: how many cores others use.
    """
    return {"OMP_WAIT_POLICY": "PASSIVE"} if busy > 0.5 else {"GOMP_SPINCOUNT": "10000"}


def busy_cores(seconds: float = 0.1, stat: Path = STAT) -> float:
    """Return how many cores of the machine are used by others while this process sleeps; 0 if not on Linux.

    The load average would not tell: it remembers the step before this one for a minute.
    """
    try:
        before = _ticks(stat)
        time.sleep(seconds)
        after = _ticks(stat)
    except OSError:
        return 0.0
    passed = after.passed - before.passed
    return (after.worked - before.worked) / passed * after.cores if passed else 0.0


class _Ticks(NamedTuple):
    """Hundredths of a second since the start, over all cores: worked, and passed; and how many cores."""

    worked: int
    passed: int
    cores: int


def _ticks(stat: Path) -> _Ticks:
    """Read ``/proc/stat``: user, nice, system, idle, iowait, irq, softirq, steal, of all and of each."""
    lines = stat.read_text(encoding="ascii").splitlines()
    times = [int(word) for word in lines[0].split()[1:9]]
    return _Ticks(
        sum(times) - times[3] - times[4], sum(times), sum(line.startswith("cpu") for line in lines) - 1
    )


def before_loading() -> None:
    """Make loading the libraries quick: only what is used, and without looking for garbage meanwhile."""
    leave_out()
    keep_memory()
    gc.disable()


def keep_memory() -> None:
    """Keep what is freed for the next step, as its tensors are as large as this one's.

    glibc gives large blocks back to the system at once, and the next step gets them page by page: 3 % of a
    step (MiniLM, 2 cores). No effect with another C library.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 1 << 30)
        mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)


def after_loading() -> None:
    """Look for garbage again, but not among what the libraries have made: the end of the process would go
    through it several times, which takes a second.
    """
    gc.freeze()
    gc.enable()


def leave_out(names: Iterable[str] = UNUSED) -> None:
    """Have libraries that are not loaded yet found missing: a second or more of every start."""
    for name in names:
        # With None an import fails as if the package were not installed; all four are optional.
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def own_threads(environment: Mapping[str, str], allowed: int, quota: float) -> int | None:
    """Return how many threads this process shall compute with; None leaves it to PyTorch.

    PyTorch starts one for each core that it sees. That is too many in a container with a quota, where they
    are paused together, and with several ranks on a machine. torchrun then says 1, which wastes what is over:
    8 cores have 4 for each of 2 ranks. A number that a person has set is kept (but for a 1 under torchrun,
    which looks the same).

    Args:
        environment: ``OMP_NUM_THREADS``, and torchrun's ``LOCAL_WORLD_SIZE``: ranks on this machine.
        allowed: CPUs that the process may run on.
        quota: how many of them its container may use at once.
    """
    ranks = max(1, int(environment.get("LOCAL_WORLD_SIZE", "1")))
    given = environment.get("OMP_NUM_THREADS")
    if given is not None and not (ranks > 1 and given == "1"):
        return None
    if ranks == 1 and quota >= allowed:
        return None  # PyTorch knows which of them share a core
    return max(1, int(min(allowed, quota) / ranks))


def cpus(cgroups: Path = CGROUPS) -> tuple[int, float]:
    """Return how many CPUs this process may run on, and the container's quota of them (cgroup v2 or v1)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    second = _words(cgroups / "cpu.max")
    first = _words(cgroups / "cpu/cpu.cfs_quota_us") + _words(cgroups / "cpu/cpu.cfs_period_us")
    try:
        quota, period = map(int, second or first)
    except ValueError:  # neither version, or none is set ("max")
        return allowed, math.inf
    return allowed, quota / period if quota > 0 else math.inf  # v1 says -1 for none


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []
