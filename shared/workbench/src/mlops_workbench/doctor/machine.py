"""Room, memory, and what of the file system changes files or hides them."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import time
from pathlib import Path

from .looking import Finding, note, ok, problem, run

GB = 1000**3
#: both environments, with PyTorch for CPUs, are 3 GB; a training writes a few checkpoints
ENVIRONMENTS_GB, WORK_GB = 5, 1
#: fine-tuning the default base model, or the sandbox with one endpoint, stays below it
MEMORY_GB = 4
#: [read] without LongPathsEnabled, Windows refuses paths from 260 characters on
LONGEST_WINDOWS_PATH, DEEPEST = 259, 120
#: [read, Signature Version 4] a request may be five minutes away from AWS's clock
MOST_SECONDS_OFF = 300


def findings(root: Path) -> list[Finding]:
    """One line for each of them."""
    return [
        _disk(root),
        _memory(),
        *_place(root),
        *_line_endings(root),
    ]


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free / GB
    installed = (root / ".venv-container").is_dir()
    wanted = WORK_GB if installed else ENVIRONMENTS_GB
    purpose = "trainings and reports" if installed else "the Python environments (3 GB) and trainings"
    if free < wanted:
        return problem(
            f"disk: expected {wanted} GB free for {purpose}, got {free:.1f} GB",
            "make room; make clean removes this repository's environments and local runs",
        )
    return ok(f"disk: {free:.0f} GB free")


def _memory() -> Finding:
    found = memory()
    if found is None:
        return note("memory: could not be read")
    if found < MEMORY_GB * GB * 0.9:
        return note(
            f"memory: {found / GB:.1f} GB; training on this machine, and the sandbox with an endpoint, "
            f"want {MEMORY_GB} GB",
            "train on SageMaker (make run), or set a smaller training.batch_size and model.max_length",
        )
    return ok(f"memory: {found / GB:.0f} GB")


def memory() -> int | None:
    """Bytes that this process may have: the machine's, or less where a container is held to less."""
    system = platform.system()
    if system == "Linux":
        total = re.search(r"MemTotal:\s+(\d+) kB", _text(Path("/proc/meminfo")))
        whole = int(total[1]) * 1024 if total else None
        limit = _text(Path("/sys/fs/cgroup/memory.max")).strip()
        if limit.isdigit():
            return min(int(limit), whole or int(limit))
        return whole
    if system == "Darwin":
        found = run(["sysctl", "-n", "hw.memsize"]).out.strip()
        return int(found) if found.isdigit() else None
    if system == "Windows":
        return _windows_memory()
    return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *(
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "page", "page_free", "virtual", "rest", "more")
        ),
    )


def _windows_memory() -> int | None:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    try:
        done = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    return int(status.total) if done else None


def _place(root: Path) -> list[Finding]:
    lines = []
    if "microsoft" in platform.release().lower() and re.match(r"/mnt/[a-z]/", f"{root}/"):
        lines.append(
            note(
                f"{root}: a Windows drive, which is slow from WSL and keeps no modes of files",
                "clone the repository below your home folder in WSL",
            )
        )
    if os.name == "nt" and not _long_paths() and len(str(root)) + DEEPEST > LONGEST_WINDOWS_PATH:
        lines.append(
            problem(
                f"{root}: {len(str(root))} characters; files below it are too deep for Windows",
                "Set-ItemProperty HKLM:\\SYSTEM\\CurrentControlSet\\Control\\FileSystem LongPathsEnabled 1 "
                "(PowerShell as administrator), then: git config --global core.longpaths true",
            )
        )
    return lines


def _long_paths() -> bool:
    try:
        import winreg

        path = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:  # type: ignore[attr-defined,unused-ignore]
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])  # type: ignore[attr-defined,unused-ignore]
    except (ImportError, OSError):
        return False


def _line_endings(root: Path) -> list[Finding]:
    """What runs in AWS runs on Linux, where a carriage return at the end of a command is part of it."""
    done = run(["git", "ls-files", "--eol"], root)
    if done.status != 0:
        return []
    committed, here = [], []
    for line in done.out.splitlines():
        state, _, name = line.partition("\t")
        if "attr/-text" in state:  # data: its bytes are as they are
            continue
        if re.search(r"\bi/(crlf|mixed)\b", state):
            committed.append(name)
        elif re.search(r"\bw/(crlf|mixed)\b", state):
            here.append(name)
    if committed:
        return [
            problem(
                f"line endings: expected LF in git, got CRLF in {_some(committed)}",
                'git add --renormalize . && git commit -m "Line endings"',
            )
        ]
    if here:
        return [
            note(
                f"line endings: CRLF in this folder, though not in git: {_some(here)}",
                "git config core.autocrlf false, then check those files out again: git checkout -- FILE",
            )
        ]
    return [ok("line endings: LF everywhere")]


def clock(now: float, aws_date: float | None, root: Path) -> Finding:
    """Whether this machine's clock agrees with AWS's; without AWS, whether it is before the newest commit.

    Args:
        now: this machine's time, in seconds since 1970.
        aws_date: AWS's, from an answer's header; None: AWS was not reached.
        root: the repository.
    """
    if aws_date is not None:
        off = now - aws_date
        if abs(off) > MOST_SECONDS_OFF:
            return problem(
                f"clock: {abs(off) / 60:.0f} minutes {'ahead of' if off > 0 else 'behind'} AWS's; "
                "AWS refuses requests that are five minutes off",
                _set_clock(),
            )
        return ok("clock: agrees with AWS's")
    newest = run(["git", "log", "-1", "--format=%ct"], root).out.strip()
    if newest.isdigit() and int(newest) - now > MOST_SECONDS_OFF:
        return problem(
            f"clock: {time.strftime('%Y-%m-%d %H:%M', time.gmtime(now))} UTC, before the newest commit",
            _set_clock(),
        )
    return note("clock: not compared, as AWS was not reached")


def _set_clock() -> str:
    if "microsoft" in platform.release().lower():
        return "sudo hwclock --hctosys"
    return {"Darwin": "sudo sntp -sS time.apple.com", "Windows": "w32tm /resync"}.get(
        platform.system(), "sudo timedatectl set-ntp true"
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
