"""What is counted of a file and its answers: never a text."""

import json
from typing import Any

from execution import Execution

SEVERAL: dict[int, Any] = {
    1: {
        "sentiment": {"label": "bad", "score": 0.999, "needs_review": False},
        "topics": {"labels": [{"label": "parking", "score": 0.9}, {"label": "costs", "score": 0.6}]},
    },
    2: {"sentiment": {"label": "good", "score": 0.29, "needs_review": True}, "topics": {"labels": []}},
}


def reply(execution: Execution, answers: dict[int, Any]) -> None:
    execution.reply(lambda one: json.dumps({"id": one["id"], "SageMakerOutput": answers[one["id"]]}))


def test_labels_confidence_and_lengths_are_counted_without_a_text(execution: Execution) -> None:
    execution.put("text\nParking is dear.\n,\nThe nurse was very kind to me.\nbroken,row,here\nSlow.\n")
    execution.normalise("--max-bad-percent", "100")
    reply(execution, {each: [{"label": "good", "score": each / 10}] for each in (1, 3, 5)})
    execution.answer("--max-bad-percent", "100")
    assert execution.json("result/watch.json") == {
        "version": 1,
        "texts": 3,
        "targets": {"label": {"labels": {"good": 3}, "confidence": {"10": 1, "30": 1, "50": 1}}},
        "words": {"1": 1, "3": 1, "7": 1},
    }


def test_several_targets_are_counted_each_with_what_is_known_of_it(execution: Execution) -> None:
    execution.put("text\nParking is dear.\nFine.\n")
    execution.normalise()
    reply(execution, SEVERAL)
    execution.answer()
    assert execution.json("result/watch.json")["targets"] == {
        "sentiment": {"labels": {"bad": 1, "good": 1}, "confidence": {"29": 1, "99": 1}, "review": 1},
        "topics": {"labels": {"parking": 1, "costs": 1, "(none)": 1}, "confidence": {}},
    }


def test_long_texts_are_counted_with_two_digits_and_columns_together(execution: Execution) -> None:
    long = " ".join(["word"] * 1250)
    execution.put(f"subject,body\na b,{long}\n,{long}\n")
    report = execution.normalise(text=("subject", "body"))
    assert report["words"] == {"1200": 2}


def test_a_file_without_a_text_is_counted_as_nothing(execution: Execution) -> None:
    execution.put("id,text\n1,\n")
    execution.normalise()
    execution.answer()
    assert execution.json("result/watch.json")["texts"] == 0
