"""Texts by their hashes: which rows stay, and which texts a model has learnt from.

Of equal texts the first row stays, of equal texts with different labels none. Rows are compared by a 128-bit
hash of their text, kept on disk and spread over files by its leading bits, so that equal texts meet in one
small file. Memory is that of one such file, however many rows there are. That hash depends on the seed, so
its order is the random order by which splits.py deals rows out: the same data and seed give the same sets,
whatever the order of the rows and the names of the files.

The fingerprints of the texts to train on are 64 bits each, and no text. preprocess.py writes them into its
report. The evaluation of the next model reads them, to tell the test rows that the live model knows from
training: measured on those it would look better than it is.
"""

from __future__ import annotations

import hashlib
import heapq
import tempfile
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Array = npt.NDArray[Any]

# 128 bits: among a thousand million texts, two different ones share a hash with probability 1.5e-21. The
# group's 64 bits only have to be rarely equal: two groups that share them stay together, which is safe.
RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("group", "<u8"), ("row", "<i8"), ("label", "<i4")])

FILES = 64  # a power of two; a thousand million rows make files of 560 MB
WAITING_ROWS = 1 << 17  # are written together, so that a file is not opened for each small batch

NAME = "training_texts.npy"

HASH = np.dtype([("high", "<u8")])

SETS = ("train", "validation")  # the validation set has chosen the epoch and the temperature


def text_hashes(texts: pa.Array, seed: int) -> Array:
    """Return BLAKE2b hashes of an array of strings, as unsigned 64-bit integers of shape (texts, 2)."""
    data, offsets = string_buffers(texts)
    start = hashlib.blake2b(digest_size=16, salt=(seed % 2**64).to_bytes(8, "little")).copy
    content = data.tobytes()
    bounds = offsets.tolist()
    digests = []
    for begin, end in pairwise(bounds):
        state = start()
        state.update(content[begin:end])
        digests.append(state.digest())
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)


def string_buffers(texts: pa.Array) -> tuple[Array, Array]:
    """Return an array of strings as UTF-8 bytes and the bounds of its texts (one more than texts)."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return content[bounds[0] : bounds[-1]], bounds - bounds[0]


class Buckets:
    """Records on disk, spread by the leading bits of their hash; a file keeps the order they came in."""

    def __init__(self, folder: Path, kind: np.dtype[Any] = RECORD) -> None:
        """Keep the files in the folder, which is made; of a kind that has the hash's bits in ``high``."""
        folder.mkdir()
        self._kind = kind
        self._paths = [folder / f"{number:02x}" for number in range(FILES)]
        self._waiting: list[Array] = []
        self._rows = 0

    def append(self, records: Array) -> None:
        """Add records."""
        self._waiting.append(records)
        self._rows += len(records)
        if self._rows >= WAITING_ROWS:
            self._write()

    def __iter__(self) -> Iterator[Array]:
        """Yield the records of each file, in the order of their leading bits."""
        self._write()
        for path in self._paths:
            yield np.fromfile(path, self._kind) if path.exists() else np.empty(0, self._kind)

    def _write(self) -> None:
        records = np.concatenate([np.empty(0, self._kind), *self._waiting])
        self._waiting, self._rows = [], 0
        bucket = (records["high"] >> np.uint64(64 - FILES.bit_length() + 1)).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")  # a radix sort
        bounds = np.searchsorted(bucket[order], np.arange(FILES + 1))
        ordered = records[order]
        for path, (begin, end) in zip(self._paths, pairwise(bounds), strict=True):
            if begin < end:
                with path.open("ab") as file:
                    file.write(ordered[begin:end].tobytes())


class Contradiction(NamedTuple):
    """Rows with the same text and different labels: the first rows of each of the first labels."""

    rows: tuple[int, ...]
    labels: tuple[int, ...]


class Resolved(NamedTuple):
    """The rows of one bucket that stay, in the order of their hash, and what became of the others."""

    kept: Array
    duplicates: int
    contradictory: int
    examples: list[Contradiction]


def resolve(records: Array, examples: int = 5) -> Resolved:
    """Decide on the rows of a bucket, which come in the order of their numbers."""
    records = records[
        np.lexsort((records["low"], records["high"]))
    ]  # stable: equal texts stay in the order of rows
    if not len(records):
        return Resolved(records, 0, 0, [])
    high, low, labels = records["high"], records["low"], records["label"]
    begins = np.flatnonzero(np.r_[True, (high[1:] != high[:-1]) | (low[1:] != low[:-1])])
    counts = np.diff(np.r_[begins, len(records)])
    clash = np.minimum.reduceat(labels, begins) != np.maximum.reduceat(labels, begins)
    first = heapq.nsmallest(examples, np.flatnonzero(clash), key=lambda run: records["row"][begins[run]])
    return Resolved(
        kept=records[begins[~clash]],
        duplicates=int((counts[~clash] - 1).sum()),
        contradictory=int(counts[clash].sum()),
        examples=[_contradiction(records[begins[run] : begins[run] + counts[run]]) for run in first],
    )


def _contradiction(records: Array, most: int = 3) -> Contradiction:
    _, firsts = np.unique(records["label"], return_index=True)
    shown = records[np.sort(firsts)[:most]]
    return Contradiction(tuple(shown["row"].tolist()), tuple(shown["label"].tolist()))


def without(records: Array, others: Array) -> Array:
    """Return the records whose text is in none of the others, in their order."""
    maybe = np.isin(records["high"], others["high"])
    if not maybe.any():
        return records
    texts = set(zip(others["high"].tolist(), others["low"].tolist(), strict=True))
    pairs = zip(records["high"][maybe].tolist(), records["low"][maybe].tolist(), strict=True)
    keep = np.ones(len(records), bool)
    keep[maybe] = [pair not in texts for pair in pairs]
    return records[keep]


def fingerprints_of(texts: Iterable[str]) -> np.ndarray:
    """Return each text's hash, uint64."""
    return _hashes(text.encode() for text in texts)


def _hashes(texts: Iterable[bytes]) -> np.ndarray:
    digests = [hashlib.blake2b(text, digest_size=8).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8")


def write_fingerprints(sets: Path, folder: Path) -> None:
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
                np.sort(records["high"]).tofile(out)  # no text is there twice


def read_fingerprints(folder: Path) -> np.ndarray | None:
    """Return the hashes, or None where there are none: of a model that an older version has made."""
    path = folder / NAME
    return np.load(path, allow_pickle=False) if path.is_file() else None


def known(texts: Iterable[str], hashes: np.ndarray) -> np.ndarray:
    """Return whether each text is one of those that were hashed, bool of shape (texts,)."""
    result: np.ndarray = np.isin(fingerprints_of(texts), hashes)
    return result
