import json

import pytest

from mlops_workbench.sandbox.services.events.targets import InputError, target_input

RULE = "arn:aws:events:ca-central-1:111111111111:rule/new-objects"
EVENT = {
    "id": "1",
    "source": "aws.s3",
    "detail-type": "Object Created",
    "time": "2026-01-02T03:04:05Z",
    "resources": ["arn:aws:s3:::b"],
    "detail": {"object": {"key": 'a "b".csv', "size": 3}, "list": [{"n": 1}, {"n": 2}], "ok": True},
}


def made(template, **paths):
    return target_input(
        {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}, EVENT, RULE
    )


def test_a_target_without_input_gets_the_event():
    assert json.loads(target_input({}, EVENT, RULE)) == EVENT


def test_a_constant_input_is_passed_as_it_is():
    assert target_input({"Input": '{"a": 1}'}, EVENT, RULE) == '{"a": 1}'


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("$.detail.object.size", 3),
        ("$.detail-type", "Object Created"),
        ("$.resources[0]", "arn:aws:s3:::b"),
        ("$['detail']['ok']", True),
        ("$.detail.list[*].n", [1, 2]),
        ("$.detail.none", None),
    ],
)
def test_an_input_path_gives_a_part_of_the_event(path, part):
    assert json.loads(target_input({"InputPath": path}, EVENT, RULE)) == part


@pytest.mark.parametrize("path", ["detail.object", "$.detail[?(@.n)]", "$..key"])
def test_a_path_that_eventbridge_does_not_take_is_refused(path):
    with pytest.raises(InputError, match="JSONPath"):
        target_input({"InputPath": path}, EVENT, RULE)


def test_a_variable_outside_quotes_becomes_json_and_within_them_text():
    text = made(
        '{"key": <key>, "size": <size>, "all": <object>, "text": "<key> has <size> bytes"}',
        key="$.detail.object.key",
        size="$.detail.object.size",
        object="$.detail.object",
    )
    assert json.loads(text) == {
        "key": 'a "b".csv',
        "size": 3,
        "all": EVENT["detail"]["object"],
        "text": 'a "b".csv has 3 bytes',
    }


def test_an_escaped_quotation_mark_does_not_end_a_text():
    assert json.loads(made(r'{"a": "\"<source>\" <source>"}', source="$.source")) == {"a": '"aws.s3" aws.s3'}


def test_an_object_within_a_text_loses_its_quotation_marks():
    assert json.loads(made('{"a": "<first>"}', first="$.detail.list[0]")) == {"a": "{n:1}"}


def test_a_path_that_is_not_there_gives_an_empty_text():
    assert json.loads(made('{"a": <x>, "b": "[<x>]"}', x="$.detail.x")) == {"a": "", "b": "[]"}


def test_the_rule_and_the_event_have_variables_of_their_own():
    text = made(
        '{"rule": "<aws.events.rule-name>", "arn": <aws.events.rule-arn>, "e": <aws.events.event.json>}'
    )
    assert json.loads(text) == {"rule": "new-objects", "arn": RULE, "e": EVENT}
    without_detail = json.loads(made('{"e": <aws.events.event>}'))["e"]
    assert without_detail == {key: value for key, value in EVENT.items() if key != "detail"}


def test_several_quoted_lines_are_a_text():
    assert made('"from <s>"\n"again <s>"', s="$.source") == '"from aws.s3"\n"again aws.s3"'


def test_a_template_that_gives_no_json_is_refused():
    with pytest.raises(InputError, match=r"gives no JSON: it is aws\.s3"):
        made("it is <s>".replace("<s>", "aws.s3"), s="$.source")
