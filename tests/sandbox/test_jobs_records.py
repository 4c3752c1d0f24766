import gzip
import io
import tracemalloc

import pytest

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_records import opened, requests

MEBIBYTE = 1024 * 1024


def asked(data, *, split="Line", strategy="MultiRecord", limit=6):
    return list(requests(io.BytesIO(data), split=split, strategy=strategy, max_payload_mb=limit, name="f"))


def cut(data, **how):
    return [request.body() for request in asked(data, **how)]


def test_a_file_that_is_not_split_is_one_request():
    assert cut(b"a\n\nb", split="None") == [b"a\n\nb"]
    assert cut(b"", split="None") == [b""]
    assert cut(b"a\nb", split="None", strategy="SingleRecord") == [b"a\nb"]


def test_a_single_record_is_a_line_without_its_end():
    assert cut(b"a\r\n\nb\n c \n", strategy="SingleRecord") == [b"a", b"b", b" c "]


def test_many_records_are_lines_up_to_the_limit():
    line = b"x" * (MEBIBYTE // 2 - 1)
    assert [len(body) for body in cut(b"\n".join([line] * 5), limit=1)] == [MEBIBYTE, MEBIBYTE, MEBIBYTE // 2]
    assert cut(b"a\nb") == [b"a\nb\n"]


def test_a_request_names_its_lines():
    line = b"x" * (MEBIBYTE // 2 - 1)
    data = b"\n".join([line, b"", line, line, b""])
    assert [request.where for request in asked(data, limit=1)] == ["lines 1 to 3", "line 4"]
    assert [request.where for request in asked(b"a\n\nb", strategy="SingleRecord")] == ["line 1", "line 3"]
    assert [request.where for request in asked(b"a", split="None")] == ["the whole file"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_longest_line_that_fits_is_sent(end):
    line = b"x" * (MEBIBYTE - 1)
    assert cut(line + end, limit=1) == [line + b"\n"]
    assert cut(line + end, limit=1, strategy="SingleRecord") == [line]


def test_zero_is_no_limit():
    line = b"x" * MEBIBYTE
    assert [len(body) for body in cut(b"\n".join([line] * 8), limit=0)] == [8 * (MEBIBYTE + 1)]


def test_an_empty_file_is_no_request_when_it_is_split():
    assert cut(b"") == cut(b"\n\n") == []


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        (b"a\n" + b"x" * (MEBIBYTE + 1), "Line", "max payload size: line 2 is larger than MaxPayloadInMB=1"),
        (b"x" * MEBIBYTE + b"\nb", "Line", "f: Too much data for max payload size: line 1 is larger"),
        (
            b"x" * (MEBIBYTE + 1),
            "None",
            "max payload size: the file is larger than MaxPayloadInMB=1; SplitType",
        ),
        (b"", "RecordIO", "SplitType: expected None or Line in the sandbox, got RecordIO"),
    ],
)
def test_what_cannot_be_sent_is_named(data, split, message):
    with pytest.raises(JobFailed, match=message):
        cut(data, split=split, limit=1)


class Endless(io.RawIOBase):
    """A file of lines, or of one line, that counts what was read of it."""

    def __init__(self, piece, size):
        self.piece, self.left, self.read_bytes = piece, size, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.left <= 0:
            return 0
        count = min(len(buffer), len(self.piece))
        buffer[:count] = self.piece[:count]
        self.left -= count
        self.read_bytes += count
        return count


def test_memory_does_not_grow_with_the_file():
    def peak(size):
        file = io.BufferedReader(Endless((b"x" * 99 + b"\n") * 80, size))
        tracemalloc.start()
        try:
            how = {"split": "Line", "strategy": "MultiRecord", "max_payload_mb": 1, "name": "f"}
            count = sum(1 for _ in requests(file, **how))
            return count, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    (few, small), (many, large) = peak(4 * MEBIBYTE), peak(64 * MEBIBYTE)
    assert many > 10 * few
    assert large < small + MEBIBYTE


def test_a_line_that_is_too_large_is_not_read_to_its_end():
    raw = Endless(b"x" * 8192, 500 * MEBIBYTE)
    with pytest.raises(JobFailed, match="line 1 is larger than MaxPayloadInMB=1"):
        next(
            requests(io.BufferedReader(raw), split="Line", strategy="MultiRecord", max_payload_mb=1, name="f")
        )
    assert raw.read_bytes < 2 * MEBIBYTE


def test_a_compressed_file_is_read_in_all_its_parts(tmp_path):
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    with opened(path, compression="Gzip", name="f") as file:
        assert file.read() == b"a\nb\n"


@pytest.mark.parametrize(
    "data",
    [b"plain", gzip.compress(b"text")[:-9], gzip.compress(b"text") + b"x", b"\x1f\x8b\x08" + b"\0" * 40],
    # gzip writes the time: without names of our own, each process would name these tests after its second
    ids=["plain", "cut", "more", "zeros"],
)
def test_what_is_not_gzip_is_named(tmp_path, data):
    path = tmp_path / "f.gz"
    path.write_bytes(data)
    with (
        pytest.raises(JobFailed, match="f: CompressionType Gzip: expected gzip"),
        opened(path, compression="Gzip", name="f") as file,
    ):
        file.read()
