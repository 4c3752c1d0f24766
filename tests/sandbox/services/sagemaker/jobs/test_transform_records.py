"""How a file is cut into records, what the model gets of each, and what is written of record and answer."""

import gzip
import io
import json
import tracemalloc

import pytest

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_records import (
    DataProcessing,
    Request,
    opened,
    requests,
)

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


def processing(kind="application/jsonlines", accept=None, assemble="Line", **given):
    return DataProcessing.of(
        {
            "TransformInput": {"ContentType": kind},
            "TransformOutput": {"Accept": accept or kind, "AssembleWith": assemble},
            "DataProcessing": given,
        }
    )


def sent(*records):
    return Request([record.encode() for record in records], 1, len(records), lines=True)


def run(chosen, request, answer):
    """What is written, and what the model got."""
    got = []

    def invoke(body):
        got.append(body.decode(errors="replace"))
        return answer.encode()

    return chosen.answer("f", request, invoke).decode(), got[0]


def test_filters_that_change_nothing_are_none():
    assert processing() is None
    assert processing(InputFilter="$", OutputFilter="$", JoinSource="None") is None


def test_an_id_stays_beside_the_answer_and_the_model_gets_all():
    chosen = processing(JoinSource="Input", OutputFilter="$['id','SageMakerOutput']")
    request = sent('{"id": 1, "inputs": "a"}', '{"id": 2, "inputs": "ü"}')
    answer = '[{"label": "x", "score": 0.5}]\n{"label": "ö"}\n'
    written, got = run(chosen, request, answer)
    assert written == (
        '{"id":1,"SageMakerOutput":[{"label":"x","score":0.5}]}\n{"id":2,"SageMakerOutput":{"label":"ö"}}\n'
    )
    assert got == '{"id": 1, "inputs": "a"}\n{"id": 2, "inputs": "ü"}\n'


def test_the_whole_record_is_joined_though_the_model_got_a_part():
    chosen = processing(JoinSource="Input", InputFilter="$.features")
    written, got = run(chosen, sent('{"id": 1, "features": [1, 2.5]}'), '"x"')
    assert got == "[1,2.5]\n"
    assert json.loads(written) == {"id": 1, "features": [1, 2.5], "SageMakerOutput": "x"}


def test_a_record_that_is_no_object_goes_under_a_key_of_its_own():
    written, _ = run(processing(JoinSource="Input"), sent("[1]", '"two"'), "1\n2\n")
    assert [json.loads(line) for line in written.splitlines()] == [
        {"SageMakerInput": [1], "SageMakerOutput": 1},
        {"SageMakerInput": "two", "SageMakerOutput": 2},
    ]


def test_an_attribute_of_the_reserved_name_is_overwritten():
    written, _ = run(processing(JoinSource="Input"), sent('{"SageMakerOutput": 0}'), "1")
    assert json.loads(written) == {"SageMakerOutput": 1}


def test_rows_of_csv_get_further_columns():
    chosen = processing("text/csv", JoinSource="Input", InputFilter="$[1:]")
    written, got = run(chosen, sent('1,"a, b",""', "2,c,d"), 'x,0.5\n"y ""z""",0.25\n')
    assert got == '"a, b",\nc,d\n'
    assert written == '1,"a, b",,x,0.5\n2,c,d,"y ""z""",0.25\n'


def test_columns_are_chosen_after_the_join():
    chosen = processing("text/csv; charset=utf-8", JoinSource="Input", OutputFilter="$[0,-1]")
    assert run(chosen, sent("1,a,b", "2,c,d"), "x\ny\n")[0] == "1,x\n2,y\n"


def test_an_answer_may_be_filtered_without_a_join():
    written, _ = run(processing(OutputFilter="$.label"), sent("{}", "{}"), '{"label": "a"}\n{"label": "b"}')
    assert written == '"a"\n"b"\n'


def test_a_whole_json_file_is_one_record():
    chosen = processing("application/json", assemble="None", JoinSource="Input")
    written, _ = run(chosen, Request([b'{\n "key": 1\n}\n']), '{\n "label": 1\n}')
    assert written == '{"key":1,"SageMakerOutput":{"label":1}}'


def test_half_a_surrogate_pair_stays_an_escape():
    written, _ = run(processing(JoinSource="Input"), sent(r'{"a": "\ud800"}'), "1")
    assert written == '{"a":"\\ud800","SageMakerOutput":1}\n'


@pytest.mark.parametrize("answer", ["1\n", "1\n2\n3\n", "", "[1, 2]\n"])
def test_a_join_wants_as_many_answers_as_records(answer):
    message = r"f: lines 1 to 2: Fail to join data: mismatched line count .*: 2 asked, \d answered"
    with pytest.raises(JobFailed, match=message):
        run(processing(JoinSource="Input"), sent("{}", "{}"), answer)


@pytest.mark.parametrize(
    ("record", "answer", "message"),
    [
        ("{", "1", "record 1: expected the record to be JSON"),
        ("{}", "{", "record 1: expected the answer to be JSON"),
        ('{"a": NaN}', "1", "NaN is no JSON"),
        ("[" * 100_000, "1", "expected the record to be JSON"),
    ],
)
def test_what_is_no_json_is_named(record, answer, message):
    with pytest.raises(JobFailed, match=message):
        run(processing(JoinSource="Input"), sent(record), answer)


def test_what_is_no_utf_8_is_named():
    request = Request([b'{"a": "\xe9"}'], 5, 5, lines=True)
    with pytest.raises(JobFailed, match=r"f: line 5: record 1: expected the record to be JSON: .*utf-8"):
        run(processing(JoinSource="Input"), request, "1")


def test_a_field_of_csv_has_no_line_end():
    chosen = processing("text/csv", JoinSource="Input")
    with pytest.raises(JobFailed, match=r"expected the record to be CSV \(RFC 4180, no line ends"):
        run(chosen, sent('1,"a', 'b"'), "x\ny\n")


def test_a_long_field_of_csv_is_read():
    chosen = processing("text/csv", JoinSource="Input", OutputFilter="$[-1]")
    assert run(chosen, sent("x" * 200_000), "y\n")[0] == "y\n"


def test_a_record_without_what_is_selected_is_named():
    chosen = processing(JoinSource="Input", InputFilter="$.features")
    with pytest.raises(
        JobFailed, match=r"lines 1 to 2: record 2: \$\.features: the record has no 'features'"
    ):
        run(chosen, sent('{"features": 1}', '{"id": 2}'), "1\n2\n")
