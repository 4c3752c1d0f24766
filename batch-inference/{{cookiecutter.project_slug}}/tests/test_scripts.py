"""The scripts of steps/ and functions/ by themselves: what they import, how they end, name and count.

SageMaker's image has an older Python and no package of ours.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from execution import STEPS, Execution

import failure
import places
from places import Kind


def test_a_message_is_printed_and_left_for_sagemaker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def step() -> None:
        raise failure.StepError("expected rows, found none " + "x" * 2000)

    assert failure.run(step, tmp_path / "output/message") == 1
    message = (tmp_path / "output/message").read_text(encoding="utf-8")
    assert len(message) == failure.MESSAGE_LIMIT and message.startswith("expected rows, found none")
    assert capsys.readouterr().err.startswith("error: expected rows, found none")


def test_outside_a_container_no_message_is_left(tmp_path: Path) -> None:
    def step() -> None:
        raise failure.StepError("no")

    assert failure.run(step, tmp_path / "ml/output/message") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_in_a_step_keeps_its_traceback_and_leaves_its_name(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        failure.run(lambda: {}["a"], tmp_path / "output/message")
    assert (tmp_path / "output/message").read_text() == "KeyError: 'a'"


def test_a_step_that_works_leaves_nothing(tmp_path: Path) -> None:
    assert failure.run(lambda: None, tmp_path / "output/message") == 0
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("script", sorted(path.name for path in STEPS.glob("*.py")))
def test_a_script_imports_the_standard_library_and_its_neighbours_alone(script: str) -> None:
    tree = ast.parse((STEPS / script).read_text(encoding="utf-8"), feature_version=(3, 9))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    names |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    neighbours = {path.stem for path in STEPS.glob("*.py")}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names | neighbours
    assert not neighbours & sys.stdlib_module_names


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", Kind("csv", False)),
        ("b/A.CSV.GZ", Kind("csv", True)),
        ("a.jsonl", Kind("jsonl", False)),
        ("a.ndjson.gz", Kind("jsonl", True)),
        ("a.csv.zip", None),
        ("csv", None),
        ("a.gz", None),
        ("a.csv/", None),
    ],
)
def test_a_name_s_end_says_what_a_file_is(name: str, kind: Kind | None) -> None:
    assert places.kind(name, ["csv", "jsonl"]) == kind
    assert places.kind(name, ["csv"]) == (kind if kind and kind.format == "csv" else None)


@pytest.mark.parametrize(
    ("key", "answer", "expected"),
    [
        ("input/a.csv", Kind("csv", False), "output/a.csv"),
        ("input/input/a.csv", Kind("csv", False), "output/input/a.csv"),
        ("input/a.CSV", Kind("csv", False), "output/a.CSV.csv"),
        ("input/a.csv", Kind("csv", True), "output/a.csv.csv.gz"),
        ("input/a.csv.gz", Kind("csv", True), "output/a.csv.gz"),
        ("input/x/a.jsonl", Kind("csv", False), "output/x/a.jsonl.csv"),
        ("input/a.ndjson", Kind("jsonl", False), "output/a.ndjson.jsonl"),
    ],
)
def test_answers_go_where_the_file_s_path_says(key: str, answer: Kind, expected: str) -> None:
    assert places.result_key(key, "input/", "output/", answer) == expected


@pytest.mark.parametrize("execution_id", ["", "../x", "a/b", "a b"])
def test_only_an_execution_s_id_makes_a_folder(execution_id: str) -> None:
    with pytest.raises(ValueError, match="expected letters, digits and hyphens"):
        places.work(execution_id)
    assert places.request_key("abc123") == "work/abc123/request/request.json"


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
