"""What holds of steps/preprocess.py whatever the data: nothing is lost, nothing is in two sets."""

import contextlib
import csv
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
pq = pytest.importorskip("pyarrow.parquet")

STEPS = Path(__file__).parents[2] / "model-build" / "{{cookiecutter.project_slug}}" / "steps"
PLACES = [str(STEPS), str(Path(__file__).parents[2] / "shared/parts/pipeline/steps")]
sys.path[:0] = PLACES  # the steps import each other by their bare names, as in a container
import preprocess  # noqa: E402
from data import files, readers, splits  # noqa: E402
from failure import StepError  # noqa: E402
from serving.texts import clean  # noqa: E402

del sys.path[: len(PLACES)]

SETS = ("train", "validation", "test")

# Few different values, so that duplicates and contradictions are common; some equal only after cleaning.
texts = st.one_of(
    st.sampled_from(["", " ", "a", " a", "a\r\nb", "a\nb", "\u200b"]),
    st.integers(0, 60).map(lambda number: f"text {number}"),
    st.text(st.characters(codec="utf-8"), max_size=5),
)
labels = st.sampled_from(["x", "x", "y", "y", "z", " z", ""])
groups = st.sampled_from(["", *"ABCDEFGHIJKLMNOPQRST"])
rows = st.integers(0, 150).flatmap(
    lambda size: st.lists(st.tuples(texts, labels, groups), min_size=size, max_size=size)
)


ONE_TARGET = ("--label-column", "label")


def run_step(
    data: list[tuple[str, str, str]], folder: Path, *options: str, targets: tuple[str, ...] = ONE_TARGET
) -> dict[str, Any] | None:
    """Run the step on JSON Lines in two files; return its report, or None when it refuses the data."""
    (folder / "in").mkdir()
    for name, part in (("1.jsonl", data[: len(data) // 3]), ("2.jsonl", data[len(data) // 3 :])):
        lines = [json.dumps(dict(zip(("text", "label", "group"), row, strict=True))) + "\n" for row in part]
        (folder / "in" / name).write_text("".join(lines), encoding="utf-8")
    arguments = [
        "--input",
        str(folder / "in"),
        "--output",
        str(folder),
        "--text-column",
        "text",
        *targets,
    ]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            preprocess.main([*arguments, "--max-bad-label-share", "1", *options])
    except StepError:
        return None
    report: dict[str, Any] = json.loads((folder / "report" / "data_report.json").read_text(encoding="utf-8"))
    return report


@given(data=rows, seed=st.integers(0, 2**32), grouped=st.booleans())
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_nothing_is_in_two_sets(
    data: list[tuple[str, str, str]], seed: int, grouped: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ["--seed", str(seed), *(["--group-column", "group"] if grouped else [])]
        report = run_step(data, folder, *options)
        event("refused" if report is None else "divided")
        if report is None:
            return
        sets = {name: pq.read_table(folder / name / "data.parquet").to_pylist() for name in SETS}
        content = json.loads((folder / "report" / "labels.json").read_text(encoding="utf-8"))
        names = content["targets"][0]["labels"]

    kept = [row for part in sets.values() for row in part]
    assert len(data) == report["input"]["rows"] == len(kept) + sum(report["input"]["dropped"].values())
    for row in kept:
        text, label, _ = data[row["row"] - 1]
        assert (row["text"], names[row["label"]]) == (clean(text), clean(label))
    assert len({row["text"] for row in kept}) == len(kept), "a text is kept once"
    assert {row["label"] for row in sets["train"]} == set(range(len(names))), "train has every class"
    if grouped:
        where: dict[str, set[str]] = {}
        for name, part in sets.items():
            for row in part:
                where.setdefault(data[row["row"] - 1][2], set()).add(name)
        assert all(len(found) == 1 for group, found in where.items() if group), "no group is in two sets"

    # What had to be dropped, by the plain definition.
    usable = [(clean(text), clean(label)) for text, label, _ in data if clean(text) and clean(label)]
    labels_of: dict[str, set[str]] = {}
    for text, label in usable:
        labels_of.setdefault(text, set()).add(label)
    assert {row["text"] for row in kept} == {text for text, found in labels_of.items() if len(found) == 1}


combinations = st.lists(st.sampled_from("pqrs"), max_size=3).map(" + ".join)
answers = st.lists(
    st.tuples(st.integers(0, 200).map(lambda number: f"text {number}"), labels, combinations),
    min_size=20,
    max_size=150,
)


@given(data=answers, seed=st.integers(0, 2**32), shuffled=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_with_several_targets_every_set_has_every_label(
    data: list[tuple[str, str, str]], seed: int, shuffled: Any
) -> None:
    targets = ("--target", "kind=label", "--target", "topics=group", "--separator", "topics=+")
    runs = []
    for rows_of_run in (data, shuffled.sample(data, len(data))):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            report = run_step(rows_of_run, folder, "--seed", str(seed), targets=targets)
            event("refused" if report is None else "divided")
            if report is None:
                return
            sets = {name: pq.read_table(folder / name / "data.parquet").to_pylist() for name in SETS}
            content = json.loads((folder / "report" / "labels.json").read_text(encoding="utf-8"))
            runs.append({name: sorted(row["text"] for row in part) for name, part in sets.items()})
    assert runs[0] == runs[1], "the order of the rows changes nothing"

    kinds, topics = (target["labels"] for target in content["targets"])
    for part in sets.values():
        assert {row["kind.label"] for row in part} == set(range(len(kinds)))
        assert {label for row in part for label in row["topics.label"]} == set(range(len(topics)))
    answer = {
        (text, clean(kind), frozenset(filter(None, map(clean, found.split("+")))))
        for text, kind, found in data
    }
    for row in (row for part in sets.values() for row in part):
        found = frozenset(topics[label] for label in row["topics.label"])
        assert (row["text"], kinds[row["kind.label"]], found) in answer


@given(
    totals=st.lists(st.integers(3, 500), min_size=2, max_size=20),
    shares=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 20)),
)
def test_classes_are_divided_by_the_fractions_and_every_set_has_every_class(
    totals: list[int], shares: tuple[int, int, int]
) -> None:
    fractions = tuple(share / sum(shares) for share in shares)
    table = splits.allocate(np.array(totals), fractions)
    assert table.sum(axis=1).tolist() == totals
    assert (table >= 0).all()
    drawn = [index for index in range(3) if fractions[index] > 0]
    assert (table[:, drawn] > 0).all()
    exact = np.outer(totals, fractions)
    assert (np.abs(table - exact) < 2 + (exact < 1).sum(axis=1, keepdims=True)).all()
    if (exact[:, drawn] >= 1).all():
        assert (np.abs(table.sum(axis=0) - exact.sum(axis=0)) <= 1).all()


@given(
    content=st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=60
    ),
    shares=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 9)),
)
def test_groups_go_to_sets_that_are_drawn(
    content: list[tuple[int, int, int]], shares: tuple[int, int, int]
) -> None:
    names = np.repeat([group for group, _, _ in content], [count for _, _, count in content]).astype(
        np.uint64
    )
    kinds = np.repeat([label for _, label, _ in content], [count for _, _, count in content])
    _, kinds = np.unique(kinds, return_inverse=True)
    totals = np.bincount(kinds)
    if (totals < 3).any():
        return
    table = splits.allocate(totals, tuple(share / sum(shares) for share in shares))
    gathered = splits.Groups.gather([(names[:7], kinds[:7]), (names[7:], kinds[7:])])
    assert gathered.texts.sum() == len(names)
    assigned = splits.assign_groups(gathered, table)
    assert len(assigned) == len(set(names.tolist()))
    assert set(assigned.tolist()) <= {index for index in range(3) if table[:, index].any()}


def quoted(values: list[tuple[str, str]], ending: str) -> str:
    """Return a CSV file with every value quoted, as only then is each string possible."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerow(("text", "label"))
    writer.writerows(values)
    return out.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _small_blocks() -> Iterator[None]:
    """Make every few rows a block, so that rows lie across the bounds of blocks."""
    before = readers.BLOCK
    readers.BLOCK = 64
    yield
    readers.BLOCK = before


@given(
    values=st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), max_size=40), st.text(max_size=3).map(clean))
    ),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]),
)
@settings(deadline=None)
def test_csv_is_read_as_it_was_written(values: list[tuple[str, str]], ending: str, encoding: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.csv"
        path.write_bytes(quoted(values, ending).encode(encoding))
        batches = list(readers.read(files.DataFile(path, "a.csv", "csv"), ["label", "text"], encoding))
    found = [
        pair for label, text in batches for pair in zip(text.to_pylist(), label.to_pylist(), strict=True)
    ]
    assert found == [(text.replace("\0", ""), label) for text, label in values]
