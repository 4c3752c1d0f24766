import pytest
from mlops_sandbox.jobs import JobFailed
from mlops_sandbox.jobs.records import assemble, requests

MEBIBYTE = 1024 * 1024


def cut(data, *, split="Line", strategy="MultiRecord", limit=6):
    return list(requests(data, split=split, strategy=strategy, max_payload_mb=limit, name="f"))


def test_a_file_that_is_not_split_is_one_request():
    assert cut(b"a\n\nb", split="None") == [b"a\n\nb"]


def test_a_single_record_is_a_line_without_its_end():
    assert cut(b"a\r\n\nb\n c \n", strategy="SingleRecord") == [b"a", b"b", b" c "]


def test_many_records_are_lines_up_to_the_limit():
    line = b"x" * (MEBIBYTE // 2 - 1)
    assert [len(body) for body in cut(b"\n".join([line] * 5), limit=1)] == [MEBIBYTE, MEBIBYTE, MEBIBYTE // 2]
    assert cut(b"a\nb") == [b"a\nb\n"]


def test_zero_is_no_limit():
    line = b"x" * MEBIBYTE
    assert [len(body) for body in cut(b"\n".join([line] * 8), limit=0)] == [8 * (MEBIBYTE + 1)]


def test_an_empty_file_is_no_request_when_it_is_split():
    assert cut(b"") == cut(b"\n\n") == []


@pytest.mark.parametrize(
    ("data", "split", "message"),
    [
        (b"a\n" + b"x" * (MEBIBYTE + 1), "Line", "f: line 2 is larger than MaxPayloadInMB=1"),
        (b"x" * (MEBIBYTE + 1), "None", "f: 1048577 bytes are more than MaxPayloadInMB=1"),
        (b"", "RecordIO", "SplitType: expected None or Line, got RecordIO"),
    ],
)
def test_what_cannot_be_sent_is_named(data, split, message):
    with pytest.raises(JobFailed, match=message):
        cut(data, split=split, limit=1)


def test_answers_are_put_together_as_they_are_or_on_lines():
    assert assemble([b"a", b"b\n"], assemble_with="None") == b"ab\n"
    assert assemble([b"a", b"b\n"], assemble_with="Line") == b"a\nb\n"
