"""What a model says, counted; and that all who count do it in the same way."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from watching import count
from watching.count import Counts, binned, of_line, spread

from tests.batch_inference.steps import step

COLLECTION = Path(__file__).resolve().parents[2]
STEPS = COLLECTION / "model-build/{{cookiecutter.project_slug}}/steps"
LINE = {
    "version": 1,
    "texts": 3,
    "targets": {"team": {"labels": {"gas": 2, "água": 1}, "confidence": {"39": 1, "97": 2}, "review": 1}},
    "words": {"4": 1, "5": 1, "1200": 1},
    "unknown": {"0": 2, "40": 1},
}


def module(path: Path) -> ModuleType:
    """A step, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"the_{path.stem}", path)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


def values(documents: list[dict[str, Any]], metric: str) -> dict[tuple[str, ...], Any]:
    """The values of a metric, by those of its dimensions that are not the same everywhere."""
    found = {}
    for document in documents:
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        names = [each for each in directive["Dimensions"][0] if each not in ("Name", "Version")]
        if metric in [each["Name"] for each in directive["Metrics"]]:
            found[tuple(document[name] for name in names)] = document[metric]
    return found


def test_the_model_the_batch_and_the_functions_count_in_the_same_bins_and_words() -> None:
    watch = module(STEPS / "serving/watch.py")
    for name in ("MARKER", "VERSION", "NO_LABEL", "CONFIDENCE", "WORDS", "UNKNOWN"):
        assert getattr(watch, name) == getattr(count, name), name
    batch = step("counts")
    assert (batch.VERSION, batch.NO_LABEL) == (count.VERSION, count.NO_LABEL)
    text = "Où est le colis n° 12-345? " * 70
    words = batch.Words()
    words.add(text)
    answers = {"t": [watch.Answered(("a",), 0.29)]}
    assert watch.counts([text], answers, None)["words"] == words.report()


def test_a_line_is_found_behind_what_the_inference_container_puts_before_it() -> None:
    prefix = "2026-11-26T21:00:00,123 [INFO ] W-model-1-stdout com.amazonaws.ml.mms.wlm.WorkerLifeCycle - "
    assert of_line(f"{prefix}mlops-watch {json.dumps(LINE)}") == LINE
    assert of_line(json.dumps(LINE)) is None  # no marker
    assert of_line("mlops-watch {broken") is None


@pytest.mark.parametrize(
    "broken", [{"version": 2}, {"targets": {"t": {}}}, {"texts": "many"}, {"words": [1]}]
)
def test_what_cannot_be_read_adds_nothing(broken: dict[str, Any]) -> None:
    counts = Counts()
    with pytest.raises(ValueError, match="expected what a model answered"):
        counts.add({**LINE, **broken})
    assert counts == Counts()


def test_lines_become_documents_of_which_each_dimension_has_one_value() -> None:
    counts = Counts().add(LINE).add(LINE)
    found = count.documents(counts, "router-staging", "3")
    assert values(found, "Texts") == {(): 6}
    assert values(found, "Words") == {(): [4, 4, 5, 5, 1200, 1200]}
    assert values(found, "UnknownWords") == {(): [0, 0, 0, 0, 40, 40]}
    assert values(found, "Answers") == {("team", "gas"): 4, ("team", "\\xe1gua"): 2}
    assert values(found, "Confidence") == {("team",): [0.39, 0.39, 0.97, 0.97, 0.97, 0.97]}
    assert values(found, "NeedsReview") == {("team",): 2}
    assert values(found, "AnswersByConfidence") == {("team", "0-0.4"): 2, ("team", "0.97-"): 4}
    assert values(found, "TextsByWords") == {("0-5",): 2, ("5-10",): 2, ("250-",): 2}
    assert values(found, "TextsByUnknownWords") == {("0-0.02",): 4, ("0.4-",): 2}
    for document in found:
        assert (document["Name"], document["Version"]) == ("router-staging", "3")
    assert count.documents(Counts(), "router-staging", "3") == []


def test_of_many_values_a_hundred_stand_for_all() -> None:
    many = Counter({1: 700, 5: 200, 90: 100})
    assert Counter(spread(many, 100)) == {1: 70, 5: 20, 90: 10}
    assert spread(Counter({3: 2, 1: 1}), 100) == [1, 3, 3]
    assert spread(Counter(), 100) == []


def test_bins_begin_where_their_bounds_say() -> None:
    assert binned(Counter({0: 1, 4: 1, 5: 2, 249: 3, 250: 1}), [5, 250]) == [2, 5, 1]
    assert count.bin_names((5, 250)) == ["0-5", "5-250", "250-"]


def test_the_function_counts_a_batch_and_tells_of_lines_that_it_cannot_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "router-staging")
    monkeypatch.setenv("MODEL_VERSION", "3")
    lines = [f"x mlops-watch {json.dumps(LINE)}", "x mlops-watch nothing", f"mlops-watch {json.dumps(LINE)}"]
    batch = {
        "messageType": "DATA_MESSAGE",
        "logGroup": "g",
        "logEvents": [{"message": line} for line in lines],
    }
    data = base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()
    count.handler({"awslogs": {"data": data}}, None)
    *documents, last = capsys.readouterr().out.splitlines()
    assert values([json.loads(each) for each in documents], "Texts") == {(): 6}
    assert last.startswith("1 lines of g could not be read")
    control = base64.b64encode(gzip.compress(b'{"messageType": "CONTROL_MESSAGE"}')).decode()
    count.handler({"awslogs": {"data": control}}, None)
    assert capsys.readouterr().out == ""
