"""When answers count as unlike the training data: not by chance, and not before there are enough."""

from __future__ import annotations

import io
import json
import math
import random
import tarfile
from typing import Any

import pytest
from watching import check, drift
from watching.count import CONFIDENCE, UNKNOWN, WORDS
from watching.lately import Answered, Lately

from release import watched

SETTINGS = check.Settings("router-staging", 7, 200, 0.2, "3", "s3://b/m/model.tar.gz", "", "")
MODEL = check.Model("3", "s3://b/m/model.tar.gz")


def sample(random_: random.Random, shares: list[float], size: int) -> list[int]:
    """So many texts drawn from the shares of bins."""
    drawn = random_.choices(range(len(shares)), shares, k=size)
    return [drawn.count(each) for each in range(len(shares))]


def test_the_index_is_that_of_the_formula() -> None:
    expected = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.7 - 0.5) * math.log(0.7 / 0.5)
    assert drift.psi([50_000, 50_000], [30_000, 70_000]) == pytest.approx(expected, rel=1e-3)
    assert drift.psi([10, 20], [100, 200]) == pytest.approx(0, abs=0.01)
    assert drift.psi([100, 0], [0, 100]) < 12  # an empty bin has no infinite weight


@pytest.mark.parametrize(("then", "now"), [(60, 200), (300, 300), (5000, 100)])
def test_samples_that_are_alike_exceed_chance_about_once_in_twenty(then: int, now: int) -> None:
    random_ = random.Random(13)
    shares = [0.3, 0.2, 0.2, 0.15, 0.1, 0.05]
    beyond = alarms = 0
    for _ in range(400):
        found = drift.compare("t", "labels", sample(random_, shares, then), sample(random_, shares, now))
        assert found is not None
        beyond += found.drift > 0
        alarms += found.drift > 0.2  # by default
    assert 4 <= beyond <= 36  # 20, give or take
    assert alarms <= 2


def test_a_real_change_is_seen_through_chance() -> None:
    random_ = random.Random(13)
    then = sample(random_, [0.3, 0.3, 0.2, 0.2], 300)
    found = drift.compare("t", "labels", then, sample(random_, [0.05, 0.05, 0.2, 0.7], 200))
    assert found is not None and found.drift > 0.5


def test_nothing_is_compared_with_nothing() -> None:
    assert drift.compare("t", "labels", [0, 0], [1, 2]) is None
    assert drift.by_label("t", {"a": 1}, {}) is None
    found = drift.by_label("t", {"a": 100, "b": 0}, {"a": 100, "c": 100})
    assert found is not None and found.drift > 0.2  # a label that training did not have


def lately(texts: int = 400, **more: Any) -> Lately:
    answered = Answered({"gas": texts // 2, "billing": texts // 2}, [0, 0, 0, 0, 0, texts], 0.98, texts // 10)
    given: dict[str, Any] = {
        "texts": texts,
        "words": [0, 0, texts, 0, 0, 0, 0],
        "mean_words": 14.2,
        "unknown": [0, 0, texts, 0, 0, 0],
        "mean_unknown": 0.07,
        "targets": {"team": answered},
    }
    return Lately(**{**given, **more})


def profile(**labels: int) -> dict[str, Any]:
    def bins(bounds: tuple[float, ...], *counts: int) -> dict[str, Any]:
        return {"bounds": list(bounds), "counts": list(counts)}

    confidence = {"mean": 0.97, "bins": bins(CONFIDENCE, 0, 0, 0, 0, 0, 100)}
    validation = {"texts": 100, "labels": labels, "confidence": confidence, "review_share": 0.12}
    return {
        "version": 1,
        "targets": {"team": {"labels": labels or {"gas": 500, "billing": 500}, "validation": validation}},
        "words": {"texts": 1000, "mean": 15.0, "bins": bins(WORDS, 0, 0, 1000, 0, 0, 0, 0)},
        "unknown": {"texts": 100, "mean": 0.06, "bins": bins(UNKNOWN, 0, 0, 100, 0, 0, 0)},
    }


def test_the_line_says_whether_and_which_figures() -> None:
    alike = check.findings(profile(), lately())
    assert {each.name for each in alike} == {"team labels", "team confidence", "words", "unknown words"}
    line = check.in_words(SETTINGS, MODEL, lately(), alike)
    assert line.startswith(
        "router-staging version 3, 400 texts in 7 days: like the training data, nothing above 0.2."
    )
    other = check.findings(profile(gas=990, billing=10), lately())
    line = check.in_words(SETTINGS, MODEL, lately(), other)
    assert "unlike the training data, above 0.2: team labels. Drift: team labels " in line
    few = check.in_words(SETTINGS, MODEL, lately(199), alike)
    assert few == "router-staging version 3, 199 texts in 7 days: no verdict, it takes 200 (watching.texts)"


def test_fewer_unknown_words_than_in_training_are_no_drift() -> None:
    known = lately(unknown=[400, 0, 0, 0, 0, 0], mean_unknown=0.0)
    assert "unknown_words" not in {each.feature for each in check.findings(profile(), known)}


def test_the_metric_is_of_each_comparison_and_of_the_largest() -> None:
    found = check.findings(profile(gas=990, billing=10), lately())
    documents = check.documents("router-staging", found)
    assert [document.get("Target") for document in documents].count("team") == 2
    assert documents[-1]["Drift"] == max(document["Drift"] for document in documents) > 0.2
    assert set(documents[-1]) == {"_aws", "Name", "Drift"}


def archive(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as opened:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        opened.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (archive("training.json", b"{}"), "x has no profile.json: the model is of an older template"),
        (archive("profile.json", b'{"version": 2}'), "x: expected profile.json of version 1"),
        (archive("profile.json", b"{"), "x cannot be read"),
        (b"no archive", "x cannot be read"),
        (
            archive(
                "./profile.json",
                json.dumps({**profile(), "words": {"bins": {"bounds": [1], "counts": [1, 2]}}}).encode(),
            ),
            "x: expected bins that begin at",
        ),
    ],
)
def test_a_profile_that_cannot_be_used_says_why(content: bytes, expected: str) -> None:
    with pytest.raises(drift.NoProfile, match=expected):
        drift.profile_in(content, "x")


def test_a_profile_is_found_in_what_training_has_left() -> None:
    assert drift.profile_in(archive("./profile.json", json.dumps(profile()).encode()), "x") == profile()


def test_the_command_shows_what_was_answered_beside_the_training_data() -> None:
    found = check.findings(profile(), lately())
    answer = {
        "verdict": "router-staging version 3: like the training data",
        "name": "router-staging",
        "version": "3",
        "days": 7,
        "lately": {**lately()._asdict(), "targets": {"team": lately().targets["team"]._asdict()}},
        "profile": profile(),
        "findings": [{**each._asdict(), "drift": each.drift} for each in found],
    }
    shown = watched.in_words(answer)
    assert shown.splitlines() == [
        "router-staging, version 3: 400 texts in 7 days",
        "",
        "                 lately  training  drift",
        "words in a text    14.2      15.0   0.00",
        "unknown words        7%        6%   0.00",
        "team",
        "  confidence       0.98      0.97   0.00",
        "  needs review      10%       12%",
        "  labels                            0.00",
        "    billing         50%       50%",
        "    gas             50%       50%",
        "",
        "router-staging version 3: like the training data",
    ]
    assert watched.in_words({"verdict": "no verdict"}) == "no verdict"
