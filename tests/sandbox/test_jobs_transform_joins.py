"""What the model gets of a record, and what is written of record and answer."""

import json

import pytest

from mlops_workbench.sandbox.errors import JobFailed
from mlops_workbench.sandbox.services.sagemaker.jobs.transform_records import DataProcessing, Request


def processing(kind="application/jsonlines", accept=None, assemble="Line", **given):
    return DataProcessing.of(
        {
            "TransformInput": {"ContentType": kind},
            "TransformOutput": {"Accept": accept or kind, "AssembleWith": assemble},
            "DataProcessing": given,
        }
    )


def asked(*records):
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
    request = asked('{"id": 1, "inputs": "a"}', '{"id": 2, "inputs": "ü"}')
    answer = '[{"label": "x", "score": 0.5}]\n{"label": "ö"}\n'
    written, got = run(chosen, request, answer)
    assert written == (
        '{"id":1,"SageMakerOutput":[{"label":"x","score":0.5}]}\n{"id":2,"SageMakerOutput":{"label":"ö"}}\n'
    )
    assert got == '{"id": 1, "inputs": "a"}\n{"id": 2, "inputs": "ü"}\n'


def test_the_whole_record_is_joined_though_the_model_got_a_part():
    chosen = processing(JoinSource="Input", InputFilter="$.features")
    written, got = run(chosen, asked('{"id": 1, "features": [1, 2.5]}'), '"x"')
    assert got == "[1,2.5]\n"
    assert json.loads(written) == {"id": 1, "features": [1, 2.5], "SageMakerOutput": "x"}


def test_a_record_that_is_no_object_goes_under_a_key_of_its_own():
    written, _ = run(processing(JoinSource="Input"), asked("[1]", '"two"'), "1\n2\n")
    assert [json.loads(line) for line in written.splitlines()] == [
        {"SageMakerInput": [1], "SageMakerOutput": 1},
        {"SageMakerInput": "two", "SageMakerOutput": 2},
    ]


def test_an_attribute_of_the_reserved_name_is_overwritten():
    written, _ = run(processing(JoinSource="Input"), asked('{"SageMakerOutput": 0}'), "1")
    assert json.loads(written) == {"SageMakerOutput": 1}


def test_rows_of_csv_get_further_columns():
    chosen = processing("text/csv", JoinSource="Input", InputFilter="$[1:]")
    written, got = run(chosen, asked('1,"a, b",""', "2,c,d"), 'x,0.5\n"y ""z""",0.25\n')
    assert got == '"a, b",\nc,d\n'
    assert written == '1,"a, b",,x,0.5\n2,c,d,"y ""z""",0.25\n'


def test_columns_are_chosen_after_the_join():
    chosen = processing("text/csv; charset=utf-8", JoinSource="Input", OutputFilter="$[0,-1]")
    assert run(chosen, asked("1,a,b", "2,c,d"), "x\ny\n")[0] == "1,x\n2,y\n"


def test_an_answer_may_be_filtered_without_a_join():
    written, _ = run(processing(OutputFilter="$.label"), asked("{}", "{}"), '{"label": "a"}\n{"label": "b"}')
    assert written == '"a"\n"b"\n'


def test_a_whole_json_file_is_one_record():
    chosen = processing("application/json", assemble="None", JoinSource="Input")
    written, _ = run(chosen, Request([b'{\n "key": 1\n}\n']), '{\n "label": 1\n}')
    assert written == '{"key":1,"SageMakerOutput":{"label":1}}'


def test_half_a_surrogate_pair_stays_an_escape():
    written, _ = run(processing(JoinSource="Input"), asked(r'{"a": "\ud800"}'), "1")
    assert written == '{"a":"\\ud800","SageMakerOutput":1}\n'


@pytest.mark.parametrize("answer", ["1\n", "1\n2\n3\n", "", "[1, 2]\n"])
def test_a_join_wants_as_many_answers_as_records(answer):
    message = r"f: lines 1 to 2: Fail to join data: mismatched line count .*: 2 asked, \d answered"
    with pytest.raises(JobFailed, match=message):
        run(processing(JoinSource="Input"), asked("{}", "{}"), answer)


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
        run(processing(JoinSource="Input"), asked(record), answer)


def test_what_is_no_utf_8_is_named():
    request = Request([b'{"a": "\xe9"}'], 5, 5, lines=True)
    with pytest.raises(JobFailed, match=r"f: line 5: record 1: expected the record to be JSON: .*utf-8"):
        run(processing(JoinSource="Input"), request, "1")


def test_a_field_of_csv_has_no_line_end():
    chosen = processing("text/csv", JoinSource="Input")
    with pytest.raises(JobFailed, match=r"expected the record to be CSV \(RFC 4180, no line ends"):
        run(chosen, asked('1,"a', 'b"'), "x\ny\n")


def test_a_long_field_of_csv_is_read():
    chosen = processing("text/csv", JoinSource="Input", OutputFilter="$[-1]")
    assert run(chosen, asked("x" * 200_000), "y\n")[0] == "y\n"


def test_a_record_without_what_is_selected_is_named():
    chosen = processing(JoinSource="Input", InputFilter="$.features")
    with pytest.raises(
        JobFailed, match=r"lines 1 to 2: record 2: \$\.features: the record has no 'features'"
    ):
        run(chosen, asked('{"features": 1}', '{"id": 2}'), "1\n2\n")
