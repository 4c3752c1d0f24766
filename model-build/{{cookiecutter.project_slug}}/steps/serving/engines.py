"""What computes the outputs: ONNX Runtime, or PyTorch.

``serving.json`` says under ``runtime`` which artefact training chose (packing/artefact.py); its library lies
in the model's own ``code/runtime/PYTHON-PLATFORM`` folder. Where that cannot run, and in a model without it,
PyTorch answers with the full weights. Importing PyTorch and transformers is most of a cold start and of the
memory, so neither is imported on the other way.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from serving.texts import padded, read_tokenizer

RUNTIMES = Path("code/runtime")
"""In the model: a folder for each platform that it brings ONNX Runtime for."""

TOKENS = 384
"""Tokens, padding included, that a thread takes through the model at once. With fewer, short texts take
longer, as a pass has its cost whatever is in it; with more, long ones do, as their tensors leave the cache:
int8 answers half as many texts of 96 tokens in sixteens as in fours (benchmarks/batch_sweep.py)."""
GPU_TOKENS = 16_384

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""CPU time that the container may use, in microseconds of every so many microseconds (cgroup v2)."""


@dataclass(frozen=True)
class Engine:
    """A loaded model and its tokenizer.

    Attributes:
        name: artefact and library, for the log.
        artefact: the file that answers.
        tokenizer: for ``texts.tokenise``.
        pad_id: the token that fills a batch.
        tokens: how many go through the model at once, padding included.
        outputs: from ``input_ids`` and ``attention_mask`` to the logits, float32 of shape (texts, columns).
    """

    name: str
    artefact: str
    tokenizer: Any
    pad_id: int
    tokens: int
    outputs: Callable[[dict[str, np.ndarray]], np.ndarray]

    def logits(
        self, ids: Sequence[Sequence[int] | np.ndarray], columns: int, batch_size: int | None = None
    ) -> np.ndarray:
        """Return the outputs for tokenised texts, float32 of shape (texts, columns), in their order.

        Args:
            ids: of each text.
            columns: of the model's head.
            batch_size: most texts that go through the model together; None: as many as are quickest.
        """
        logits = np.empty((len(ids), columns), dtype=np.float32)
        # Neighbours in length share a pass, so that little of it is padding; the longest first, as then no
        # later pass needs more memory than there is.
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]), reverse=True)
        for part in passes([len(ids[row]) for row in order], self.tokens, batch_size):
            rows = order[part]
            logits[rows] = self.outputs(padded([ids[row] for row in rows], self.pad_id))
        return logits


def passes(lengths: Sequence[int], tokens: int, most: int | None = None) -> Iterator[slice]:
    """Yield the texts in parts that go through the model together.

    Args:
        lengths: of the texts, the longest first.
        tokens: of a part, padding included; a longer text is one of its own.
        most: texts of a part; None: no limit.
    """
    start = 0
    while start < len(lengths):
        count = max(1, tokens // max(1, lengths[start]))
        end = start + (count if most is None else min(count, most))
        yield slice(start, end)
        start = end


class Unfit(Exception):
    """This container cannot run the artefact; the text says why."""


def load(folder: Path, runtime: Mapping[str, Any] | None, threads: int, prefer_gpu: bool = True) -> Engine:
    """Load the best artefact that this container can run, and say in one line of the log which that is.

    Args:
        folder: of the model.
        runtime: of its serving.json.
        threads: to compute with.
        prefer_gpu: a GPU answers with PyTorch, whatever the runtime.
    """
    why = ""
    if runtime is not None and runtime.get("artefact"):
        if prefer_gpu and has_gpu():
            why = "this container has a GPU"
        else:
            try:
                engine = onnx_engine(folder, runtime, threads)
            except Unfit as error:
                why = str(error)
            else:
                print(f"serving {engine.name}", flush=True)
                return engine
        why = f", not {runtime['artefact']}: {why}"
    engine = torch_engine(folder, threads)
    print(f"serving {engine.name}{why}", flush=True)
    return engine


def has_gpu() -> bool:
    """Whether PyTorch can use a GPU; it is asked only where there is the device of one."""
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    import torch

    return bool(torch.cuda.is_available())


# --- ONNX Runtime ---------------------------------------------------------------------------------


def onnx_engine(folder: Path, runtime: Mapping[str, Any], threads: int) -> Engine:
    """Load the artefact with the ONNX Runtime in the model's folder, and let it answer once.

    Args:
        folder: of the model.
        runtime: ``artefact``, its file, and ``pad_id``.
        threads: to compute with.

    Raises:
        Unfit: the library is not for this Python or platform, or fails.
    """
    path = folder / runtime["artefact"]
    if not path.is_file():
        raise Unfit(f"{path.name} is not in the model")
    try:
        library = _onnxruntime(folder)
        session = _session(library, path, threads)
        names = [each.name for each in session.get_inputs()]

        def outputs(batch: dict[str, np.ndarray]) -> np.ndarray:
            found: np.ndarray = session.run(["logits"], {name: batch[name] for name in names})[0]
            return found

        outputs({name: np.ones((1, 2), dtype=np.int64) for name in names})
        tokenizer = read_tokenizer(folder / "tokenizer.json")
    except Unfit:
        raise
    except Exception as error:  # whatever it is, PyTorch can answer
        first = (str(error).strip().splitlines() or [""])[0]
        raise Unfit(f"{type(error).__name__}: {first}") from error
    name = f"{path.name} with ONNX Runtime {library.__version__}, {threads} threads"
    return Engine(name, path.name, tokenizer, runtime["pad_id"], TOKENS * threads, outputs)


def _onnxruntime(folder: Path) -> Any:
    there = sorted(path.name for path in (folder / RUNTIMES).glob("*-*"))
    place = next((tag for tag in there if fits(tag)), None)
    if place is None:
        raise Unfit(
            f"this is Python {platform.python_version()} on {sys.platform} {platform.machine()}, and "
            f"{RUNTIMES} has {', '.join(there) or 'nothing'}"
        )
    path = str(folder / RUNTIMES / place)
    if path not in sys.path:
        sys.path.insert(0, path)
    return importlib.import_module("onnxruntime")


def _session(library: Any, path: Path, threads: int) -> Any:
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait for work sleep: spinning takes CPU time that a small container does not have.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graph was optimised when it was packed (packing/onnx_export.py).
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3  # errors
    return library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def fits(tag: str) -> bool:
    """Whether a folder of ``RUNTIMES`` is for this Python and platform, as far as its name tells.

    Args:
        tag: such as ``cp312-manylinux_2_28_x86_64``: for CPython 3.12 on Linux with glibc 2.28 or later.
    """
    python, _, system = tag.partition("-")
    machine = platform.machine()
    if python != f"cp{sys.version_info.major}{sys.version_info.minor}" or not system.endswith(f"_{machine}"):
        return False
    if found := re.match(r"manylinux_(\d+)_(\d+)_", system):
        return sys.platform == "linux" and _glibc() >= (int(found[1]), int(found[2]))
    return {"linux": "linux", "darwin": "macosx", "win32": "win"}.get(sys.platform) == system.split("_")[0]


def _glibc() -> tuple[int, ...]:
    try:
        return tuple(map(int, (os.confstr("CS_GNU_LIBC_VERSION") or "").split()[-1].split(".")))
    except (AttributeError, ValueError, IndexError, OSError):  # another C library
        return (0,)


# --- PyTorch --------------------------------------------------------------------------------------


def torch_engine(folder: Path, threads: int) -> Engine:
    """Load the full weights with PyTorch, on a GPU where there is one."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    torch.set_num_threads(threads)
    logging.disable_progress_bar()
    model = AutoModelForSequenceClassification.from_pretrained(str(folder), dtype=torch.float32)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(str(folder))

    def outputs(batch: dict[str, np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(model.device) for name, array in batch.items()}
            found: np.ndarray = model(**tensors).logits.float().cpu().numpy()
            return found

    name = f"model.safetensors with PyTorch {torch.__version__} on {model.device.type}, {threads} threads"
    tokens = TOKENS * threads if model.device.type == "cpu" else GPU_TOKENS
    return Engine(name, "model.safetensors", tokenizer, tokenizer.pad_token_id or 0, tokens, outputs)


def threads() -> int:
    """Return how many threads compute: ``OMP_NUM_THREADS``, or this process's share of the CPUs."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else cpu_share()


def cpu_share() -> int:
    """Return how many threads one server process should use.

    The CPUs that this process may run on, within the container's quota (cgroup v2), divided among the model
    server's workers. PyTorch by itself starts a thread for each core of the host, whatever share of them the
    container has.
    """
    cpus: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        cpus = min(cpus, int(quota) / int(period))
    except (OSError, ValueError):  # not Linux, cgroup v1, or no quota ("max")
        pass
    workers = os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS", "")
    return max(1, round(cpus / max(1, int(workers) if workers.isdecimal() else 1)))
