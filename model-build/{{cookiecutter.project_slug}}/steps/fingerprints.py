"""Which texts a model has learnt from, kept as 64-bit hashes: 8 bytes a text, and no text.

preprocess.py writes them into its report. The evaluation of the next model reads them, to tell the test rows
that the live model knows from training: measured on those it would look better than it is.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from duplicates import Buckets, string_buffers

NAME = "training_texts.npy"
HASH = np.dtype([("high", "<u8")])
SETS = ("train", "validation")  # the validation set has chosen the epoch and the temperature


def of(texts: Iterable[str]) -> np.ndarray:
    """Return each text's hash, uint64."""
    return _hashes(text.encode() for text in texts)


def _hashes(texts: Iterable[bytes]) -> np.ndarray:
    digests = [hashlib.blake2b(text, digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def write(sets: Path, folder: Path) -> None:
    """Write the hashes of the texts that training reads, in ascending order, as ``training_texts.npy``.

    Args:
        sets: the folder with train/ and validation/, each with Parquet files.
        folder: where the file goes.
    """
    with tempfile.TemporaryDirectory(prefix=".hashes-", dir=folder) as scratch:
        buckets = Buckets(Path(scratch) / "buckets", HASH)  # sorted one by one, so that memory does not grow
        texts = 0
        for path in (path for name in SETS for path in sorted((sets / name).glob("*.parquet"))):
            # a buffer, as in readers.py: without one Arrow holds a whole row group
            with pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
                for batch in file.iter_batches(8192, columns=["text"]):
                    data, bounds = string_buffers(batch.column("text"))
                    content = data.tobytes()
                    hashes = _hashes(content[begin:end] for begin, end in pairwise(bounds.tolist()))
                    buckets.append(hashes.view(HASH))
                    texts += len(hashes)
        with (folder / NAME).open("wb") as out:
            header = {"descr": "<u8", "fortran_order": False, "shape": (texts,)}
            np.lib.format.write_array_header_1_0(out, header)
            for records in buckets:
                np.sort(records["high"]).tofile(out)  # no text is there twice (duplicates.py)


def read(folder: Path) -> np.ndarray | None:
    """Return the hashes, or None where there are none: of a model that an older version has made."""
    path = folder / NAME
    return np.load(path, allow_pickle=False) if path.is_file() else None


def known(texts: Iterable[str], hashes: np.ndarray) -> np.ndarray:
    """Return whether each text is one of those that were hashed, bool of shape (texts,)."""
    result: np.ndarray = np.isin(of(texts), hashes)
    return result
