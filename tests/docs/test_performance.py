"""The figures on the pages are those that were measured."""

import copy
import json

import docs_performance
import pytest

RESULT = {
    "name": "demo",
    "title": "A demo",
    "command": "python benchmarks/demo.py",
    "date": "2026-01-01",
    "machine": {
        "processor": "A processor",
        "cores": 2,
        "memory_gib": None,
        "system": "Linux x86_64",
        "python": "3.12.1",
        "load_at_start": 0.4,
    },
    "libraries": {"torch": "2.9"},
    "notes": ["Made up."],
    "results": {"ours": {"time, s": [1, 2, 3]}, "theirs": {"time, s": [6, 9, 7], "memory, MiB": [1234]}},
    "goals": [
        {
            "what": "demo",
            "against": "theirs",
            "metric": "time, s",
            "sides": ["theirs", "ours"],
            "at_least": 3,
            "at_most": None,
            "minus": False,
            "unit": "x",
            "value": 3.5,
            "lowest": 2.33,
            "highest": 6,
            "met": True,
        }
    ],
    "curves": [],
}
PAGE = "# Page\n\n<!-- targets -->\n\nText.\n\n<!-- benchmark: demo -->\n<!-- benchmark: other -->\n\nEnd.\n"


def test_the_pages_are_in_step_with_the_results():
    found = docs_performance.results()
    for path in sorted(docs_performance.DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert docs_performance.filled(text, found) == text, (
            f"{path.name}: python tools/docs_performance.py writes it anew"
        )


def test_a_page_is_filled_in_and_the_second_time_nothing_changes():
    page = docs_performance.filled(PAGE, {"demo": RESULT})
    assert "| demo | theirs | at least 3x | **3.50x** (2.33 to 6) | met | `demo` |" in page
    assert "![A demo](../benchmarks/results/demo.svg)" in page
    assert "| ours | 2 (1 to 3) |  |\n| theirs | 7 (6 to 9) | 1,234 |" in page
    assert "A processor, 2 cores, Linux x86_64, Python 3.12.1, torch 2.9, load 0.4 at start." in page
    assert "Not measured yet." in page and page.endswith("\n\nEnd.\n")
    assert "Rough" not in page
    assert docs_performance.filled(page, {"demo": RESULT}) == page


def test_what_was_measured_beside_others_is_called_rough():
    rough = copy.deepcopy(RESULT)
    rough["machine"]["load_at_start"] = 1.5
    assert "Rough figures" in docs_performance.filled(PAGE, {"demo": rough})


def test_both_builds_stand_side_by_side_measured_or_not():
    aim = {"against": "old", "at_least": None, "minus": False, "value": 2.0, "lowest": 1, "highest": 3}
    what, alone = "`make test`", "one change to a step, then its tests: processor time"
    ratio = {
        "what": what,
        "metric": "time, s",
        "sides": ["this checkout", "old"],
        "at_most": 0.5,
        "unit": "x",
    }
    bound = {"metric": "processor time, s", "sides": ["this checkout"], "at_most": 20, "unit": " s"}
    sides = {"this checkout": {"time, s": [4]}, "old": {"time, s": [2]}}
    test = {**RESULT, "name": "workflow-test", "results": sides, "goals": [{**aim, **ratio, "met": False}]}
    change = {
        **RESULT,
        "name": "workflow-change",
        "results": {"this checkout": {"processor time, s": [9, 10]}},
        "goals": [{**aim, **bound, "what": alone, "met": True}],
    }
    found = {each["name"]: each for each in (test, change)}
    page = docs_performance.filled("# Page\n\n<!-- workflow -->\n\nEnd.\n", found)
    # one round has no spread
    row = f"| {what} | 2 s | 4 s | **2.00x** | at most 0.5x | **missed** | 2026-01-01, beside old |"
    assert row in page
    assert f"| {alone} | not measured | 9.5 (9 to 10) s |  | at most 20 s | met | 2026-01-01" in page
    assert "| `make test SLOW=1`, whole | not measured yet |  |  | at most 0.4x |  |  |" in page
    assert docs_performance.filled(page, found) == page and page.endswith("\n\nEnd.\n")


@pytest.mark.parametrize("path", sorted(docs_performance.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_result_has_its_own_name_a_picture_and_no_folder_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["name"] == path.stem and path.with_suffix(".svg").is_file()
    assert not any(place in text for place in ("/home/", "/root/", "/tmp/", "/Users/", "/work/"))
