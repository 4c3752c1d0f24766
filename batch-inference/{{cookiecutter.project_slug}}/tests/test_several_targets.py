"""A model that answers several targets, or says what a person should look at: a column for each thing."""

import csv
import io
import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from execution import Execution

from failure import StepError
from model_answers import NO_ANSWER, ONE, OTHER_TARGETS, Said, Target, reader, targets_of

SENTIMENT = {"label": "negative", "score": 0.875, "needs_review": False}
TOPICS = {
    "labels": [{"label": "fees", "score": 0.75}, {"label": "staff", "score": 0.5}],
    "needs_review": True,
}
BOTH: dict[str, Any] = {"sentiment": SENTIMENT, "topics": TOPICS}


def without_review(answer: Any) -> Any:
    """The same answer of a model that does not say what to look at."""
    if isinstance(answer, dict):
        return {name: without_review(value) for name, value in answer.items() if name != "needs_review"}
    return [without_review(each) for each in answer] if isinstance(answer, list) else answer


@pytest.fixture
def answered(execution: Execution) -> Callable[..., dict[str, Any]]:
    """Normalises a file, answers its rows in their order, and runs the step: the summary."""

    def run(source: str, *answers: Any, options: tuple[str, ...] = (), **put: Any) -> dict[str, Any]:
        execution.put(source, **put)
        bad = ("--max-bad-percent", "100")
        both = [each for each in options if not each.startswith(("--format", "--join"))]
        execution.normalise(*bad, *both)
        given = iter(answers)
        if "--join=None" in options:
            execution.reply(lambda _: json.dumps(next(given)))
        else:
            execution.reply(lambda asked: json.dumps({"id": asked["id"], "SageMakerOutput": next(given)}))
        return execution.answer(*bad, *options)

    return run


def text(execution: Execution, name: str = "answers.csv") -> str:
    return (execution.folder / "result" / name).read_bytes().decode()


def rows(execution: Execution) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(execution), newline="")))


def objects(execution: Execution) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(execution, "answers.jsonl").split("\n") if line]


# Which columns there are


def test_each_target_has_its_columns_and_one_that_says_what_to_look_at(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    answered(
        "id,text\na,Dear.\nb,\nc,Fine.\n", BOTH, {**BOTH, "topics": {"labels": [], "needs_review": False}}
    )
    assert text(execution) == (
        "id,text,sentiment_label,sentiment_score,sentiment_needs_review,topics_labels,topics_scores,"
        "topics_needs_review,model_version,error\n"
        "a,Dear.,negative,0.875000,false,fees;staff,0.750000;0.500000,true,3,\n"
        "b,,,,,,,,,no text\n"
        "c,Fine.,negative,0.875000,false,,,false,3,\n"
    )


def test_json_lines_have_the_same_keys_with_lists_and_truth_values(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    answered("text\nDear.\n,\n", BOTH, options=("--format=jsonl",), result="answers.jsonl")
    first, second = objects(execution)
    assert first == {
        "text": "Dear.",
        "sentiment_label": "negative",
        "sentiment_score": 0.875,
        "sentiment_needs_review": False,
        "topics_labels": ["fees", "staff"],
        "topics_scores": [0.75, 0.5],
        "topics_needs_review": True,
        "model_version": 3,
        "error": None,
    }
    assert list(first) == list(second) and set(second.values()) == {None, "expected 1 fields, found 2"}


@pytest.mark.parametrize("listed", [False, True])
def test_one_target_may_say_what_to_look_at(
    execution: Execution, answered: Callable[..., dict[str, Any]], listed: bool
) -> None:
    one: Any = [SENTIMENT] if listed else SENTIMENT
    summary = answered("text\nDear.\nFine.\n", one, [{**SENTIMENT, "needs_review": True}])
    assert text(execution) == (
        "text,label,score,needs_review,model_version,error\n"
        "Dear.,negative,0.875000,false,3,\nFine.,negative,0.875000,true,3,\n"
    )
    assert summary["needs_review"] == 1 and "targets" not in summary


def test_more_labels_are_those_of_targets_that_have_one(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    three = [{**SENTIMENT, "needs_review": True}, {"label": "neutral", "score": 0.1}]
    answered("text\nDear.\n", {"topics": TOPICS, "sentiment": three}, options=("--top-labels=3",))
    assert text(execution) == (
        "text,topics_labels,topics_scores,topics_needs_review,sentiment_label,sentiment_score,"
        "sentiment_label_2,sentiment_score_2,sentiment_label_3,sentiment_score_3,sentiment_needs_review,"
        "model_version,error\n"
        "Dear.,fees;staff,0.750000;0.500000,true,negative,0.875000,neutral,0.100000,,,true,3,\n"
    )


def test_the_declared_names_come_after_the_target_s(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    names = ("--label-column=class", "--score-column=p", "--review-column=look")
    answered("text,label\nDear.,old\n", BOTH, options=names)
    (row,) = rows(execution)
    assert list(row)[1:-2] == [
        *("label", "sentiment_class", "sentiment_p", "sentiment_look"),
        *("topics_classs", "topics_ps", "topics_look"),
    ]


def test_columns_follow_the_model_that_answered(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    """A version with one target, then one with two: the same configuration, the same source."""
    source = "id,text\na,\nb,Dear.\n"
    answered(source, without_review(SENTIMENT))
    assert list(rows(execution)[0]) == ["id", "text", "label", "score", "model_version", "error"]
    answered(source, without_review(BOTH), model_package_version=4)
    first, second = rows(execution)
    assert list(first)[2:-2] == ["sentiment_label", "sentiment_score", "topics_labels", "topics_scores"]
    assert (first["error"], second["model_version"]) == ("no text", "4")


def test_where_nothing_was_asked_there_are_the_columns_of_one_target(execution: Execution) -> None:
    execution.put("id,text\na,\n")
    execution.normalise()
    execution.answer()
    assert list(rows(execution)[0]) == ["id", "text", "label", "score", "model_version", "error"]


# What is counted


def test_the_summary_counts_each_target(answered: Callable[..., dict[str, Any]]) -> None:
    none = {"labels": [], "needs_review": False}
    good = {"label": "positive", "score": 0.5, "needs_review": True}
    summary = answered(
        "text\na\nb\nc\n,\n",
        BOTH,
        {"sentiment": good, "topics": none},
        {"sentiment": SENTIMENT, "topics": none},
    )
    assert summary["targets"] == {
        "sentiment": {
            "labels": {"negative": 2, "positive": 1},
            "mean_scores": {"negative": 0.875, "positive": 0.5},
            "needs_review": 1,
        },
        "topics": {
            "labels": {"fees": 1, "staff": 1},
            "mean_scores": {"fees": 0.75, "staff": 0.5},
            "several": True,
            "without_label": 2,
            "needs_review": 1,
        },
    }
    assert "labels" not in summary and "mean_scores" not in summary
    assert (summary["answered"], summary["bad"]) == (3, 1)


def test_the_process_tells_each_target(execution: Execution, answered: Callable[..., dict[str, Any]]) -> None:
    answered("text\nDear.\n", BOTH)
    run = execution.process("answer.py", folders=("rows", "answers", "request", "report", "result"))
    assert run.out.splitlines()[1:] == [
        "  sentiment:",
        "    negative: 1, mean score 0.875",
        "    a person should look at 0",
        "  topics:",
        "    fees: 1, mean score 0.750",
        "    staff: 1, mean score 0.500",
        "    no label: 0",
        "    a person should look at 1",
    ]


# What an answer may be


@pytest.mark.parametrize(
    ("answer", "targets"),
    [
        (SENTIMENT, (Target("", reviewed=True),)),
        ([without_review(SENTIMENT)], ONE),
        (TOPICS, (Target("", True, True),)),
        (BOTH, (Target("sentiment", False, True), Target("topics", True, True))),
        (without_review(BOTH), (Target("sentiment"), Target("topics", True))),
        # a target may be called as the parts of an answer are
        (
            {"label": without_review(SENTIMENT), "score": [SENTIMENT]},
            (Target("label"), Target("score", False, True)),
        ),
        ({"labels": {"labels": []}}, (Target("labels", True),)),
        (
            {"labels": [{"label": "a", "score": 1}], "topics": {"labels": []}},
            (Target("labels"), Target("topics", True)),
        ),
        ({}, None),
        ([], None),
        ({"sentiment": SENTIMENT, "topics": None}, None),
        ({"sentiment": SENTIMENT, "topics": []}, None),
        ({"sentiment": SENTIMENT, "topics": {"labels": [5]}}, None),
        ({"sentiment": {"label": "a", "score": "high"}}, None),
        ({"sentiment": {"label": "a", "score": 1, "needs_review": "yes"}}, None),
        ([BOTH], None),
        ("positive", None),
    ],
)
def test_an_answer_says_what_it_is_made_of(answer: Any, targets: Any) -> None:
    assert targets_of(answer) == targets


def test_the_order_of_the_targets_is_that_of_the_first_answer() -> None:
    turned = {"topics": TOPICS, "sentiment": SENTIMENT}
    targets = targets_of(BOTH)
    assert targets is not None
    assert (
        reader(targets, 1)(turned)
        == reader(targets, 1)(BOTH)
        == [
            Said([("negative", 0.875)], False),
            Said([("fees", 0.75), ("staff", 0.5)], True),
        ]
    )


@pytest.mark.parametrize("join", ["Input", "None"])
@pytest.mark.parametrize(
    ("other", "error"),
    [
        (None, NO_ANSWER),
        ({"sentiment": SENTIMENT, "topics": {"labels": "fees"}}, NO_ANSWER),
        ({"sentiment": {**SENTIMENT, "score": float("nan")}, "topics": TOPICS}, NO_ANSWER),
        ({"sentiment": SENTIMENT}, OTHER_TARGETS),
        ({**BOTH, "category": SENTIMENT}, OTHER_TARGETS),
        ({"sentiment": TOPICS, "topics": TOPICS}, OTHER_TARGETS),
        (SENTIMENT, OTHER_TARGETS),
        ([SENTIMENT], OTHER_TARGETS),
        (without_review(BOTH), OTHER_TARGETS),
    ],
)
def test_an_answer_that_is_not_like_the_first_is_none_to_its_row(
    execution: Execution, answered: Callable[..., dict[str, Any]], other: Any, error: str, join: str
) -> None:
    summary = answered("text\na\nb\nc\n", BOTH, other, BOTH, options=(f"--join={join}",))
    assert [row["error"] for row in rows(execution)] == ["", error, ""]
    assert [row["topics_labels"] for row in rows(execution)] == ["fees;staff", "", "fees;staff"]
    assert summary["errors"] == {error: 1}


def test_the_first_answer_that_can_be_read_decides(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    answered("text\na\nb\n", {"error": "no"}, BOTH)
    assert [row["sentiment_label"] for row in rows(execution)] == ["", "negative"]


LABELS = [
    "fees",
    "a,b",
    "a;b",
    "\\",
    "\\;",
    ";",
    "",
    'say "no"',
    "zwei\nZeilen",
    "été",
    "料金",
    "👍🏽",
    "\u2028",
    " ",
]


def test_whatever_a_label_is_it_can_be_told_from_the_others(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    chance = random.Random(29)
    said = [chance.sample(LABELS, chance.randint(1, 5)) for _ in range(300)]
    answers = [
        {"topics": {"labels": [{"label": label, "score": chance.random()} for label in labels]}}
        for labels in said
    ]
    source = "text\n" + "Dear.\n" * len(answers)
    answered(source, *answers)
    back = [
        [
            re.sub(r"\\(.)", r"\1", part)
            for part in re.findall(r"(?:^|;)((?:[^;\\]|\\.)*)", row["topics_labels"])
        ]
        for row in rows(execution)
    ]
    assert back == said
    scores = [row["topics_scores"].split(";") for row in rows(execution)]
    assert list(map(len, scores)) == list(map(len, said))
    answered(source, *answers, options=("--format=jsonl",), result="answers.jsonl")
    assert [row["topics_labels"] for row in objects(execution)] == said


# Columns of the same name


@pytest.mark.parametrize("name", ["sentiment_label", "topics_scores", "topics_needs_review"])
def test_a_column_of_the_file_that_the_model_adds_fails_it(
    execution: Execution, answered: Callable[..., dict[str, Any]], name: str
) -> None:
    with pytest.raises(StepError) as refused:
        answered(f"text,{name}\nDear.,old\n", BOTH)
    assert str(refused.value) == (
        f'input/june.csv: the column "{name}" is also the name of a column that is added: declare another '
        "name in output.columns, or list the columns to carry in input.carry_columns"
    )
    assert not (execution.folder / "result/answers.csv").exists()
    answered(
        f"text,{name}\nDear.,old\n",
        BOTH,
        options=("--label-column=l", "--score-column=s", "--review-column=r"),
    )
    assert rows(execution)[0][name] == "old"


def test_a_key_of_a_later_object_that_the_model_adds_is_that_row_s_error(
    execution: Execution, answered: Callable[..., dict[str, Any]]
) -> None:
    source = '{"text": "a"}\n{"text": "b", "topics_labels": "old"}\n{"text": "c", "more": 1}\n'
    options = ("--format=jsonl",)
    summary = answered(source, BOTH, BOTH, BOTH, options=options, format="jsonl", result="answers.jsonl")
    first, second, third = objects(execution)
    error = 'the key "topics_labels" is also the name of a column that is added'
    assert (second["error"], second["text"], second["topics_labels"]) == (error, None, None)
    assert first["error"] is None and third["more"] == 1 and third["topics_labels"] == ["fees", "staff"]
    assert summary["errors"] == {error: 1}


def test_declared_names_that_fall_together_are_refused(answered: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(
        StepError, match='expected different columns for what the model answers, got "topics_labels"'
    ):
        answered("text\nDear.\n", BOTH, options=("--version-column=topics_labels",))
