"""The new model beside the live one, the margin, and what the model card says of both."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tiny
from data import hashes
from evaluation import comparison, metrics, models
from evaluation.measure import Predictions
from evaluation.models import CannotAsk, LiveModel
from evaluation.paired import compare_target
from report import comparison as report
from report import registry
from serving.targets import Target
from sklearn.metrics import accuracy_score, f1_score

TEAM = Target("team", "one", ("billing", "elevators", "gas"))
TOPICS = Target("topics", "several", ("delay", "price", "staff"))
ARN = "arn:aws:sagemaker:ca-central-1:111111111111:model-package/router/3"


CLASSES = {
    f"class {n}": {"precision": 0.5, "recall": 0.5, "f1": n / 400, "support": n} for n in range(1, 401)
}

EVALUATION = {
    "multiclass_classification_metrics": {
        "accuracy": {"value": 0.81, "standard_deviation": 0.01, "confidence_interval": [0.79, 0.83]},
        "confusion_matrix": {"a": {"a": 1}},
        "per_class": {
            "gas": {"precision": 0.5, "recall": 1.0, "f1": 0.667, "support": 10},
            "billing": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 30},
        },
        "reliability": [],
    },
    "gate": {"passed": True, "message": "all 2 thresholds are met"},
    "test_rows": 40,
    "comparison": {
        "status": "compared",
        "live": {"package": "arn:aws:sagemaker:…/3", "version": "3", "commit": "abc"},
        "rows": {"test": 40, "known_to_live": 0, "compared": 40},
        "warnings": ["The live model does not know gas."],
        "targets": {
            "team": {
                "figures": {
                    "accuracy": {
                        "live": 0.8,
                        "candidate": 0.81,
                        "difference": 0.01,
                        "confidence_interval": [-0.01, 0.03],
                    }
                },
                "changed": {"fixed": 3, "broken": 2, "both_right": 30, "both_wrong": 5},
            }
        },
    },
}


def answers(target: Target, true: object, predicted: object) -> Predictions:
    """A new model's answers, all given with the confidence of their row's number."""
    truth, chosen = np.asarray(true), np.asarray(predicted)
    scores = np.zeros((len(truth), len(target.labels)))
    return Predictions(target, truth, chosen, np.arange(len(truth)) / len(truth), scores, scores)


def live(answered: list[list[str]], target: Target = TEAM, **given: object) -> LiveModel:
    """A live model that has answered so."""
    said = [{target.name: labels} for labels in answered]
    values = {"text": tiny.TEXT, "settings": None, "data": None, "known": np.zeros(len(said), bool)}
    return LiveModel(ARN, "abc123", (target,), answers=said, **{**values, **given})


def compare(new: Predictions, old: LiveModel, **about: object) -> dict:
    """Compare, with texts that say which row they are."""
    count = len(new.true)
    texts, rows = [f"text {row}" for row in range(count)], list(range(100, 100 + count))
    return comparison.compare(old, [new], texts, rows, {"text": tiny.TEXT, **about}, 200, 13)


@pytest.fixture(scope="module")
def chance() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, and the answers of a worse and of a better model."""
    random = np.random.default_rng(1)
    true = random.integers(0, 3, 300)
    worse = np.where(random.random(300) < 0.6, true, random.integers(0, 3, 300))
    better = np.where(random.random(300) < 0.9, true, random.integers(0, 3, 300))
    return true, worse, better


def test_figures_are_scikit_learns_and_the_interval_is_that_of_the_difference(chance):
    true, worse, better = chance
    found = compare(answers(TEAM, true, better), live([[TEAM.labels[each]] for each in worse]))
    figures = found["targets"]["team"]["figures"]
    assert figures["accuracy"]["live"] == pytest.approx(accuracy_score(true, worse))
    assert figures["macro_f1"]["candidate"] == pytest.approx(f1_score(true, better, average="macro"))
    low, high = figures["accuracy"]["confidence_interval"]
    assert 0 < low < figures["accuracy"]["difference"] < high
    # rows that both models get right or wrong cannot move the difference: McNemar's variance
    changed = found["targets"]["team"]["changed"]
    share = (changed["fixed"] + changed["broken"]) / 300
    deviation = np.sqrt((share - figures["accuracy"]["difference"] ** 2) / 300)
    assert (high - low) / (2 * 1.96) == pytest.approx(deviation, rel=0.2)


def test_a_model_beside_itself_shows_no_difference(chance):
    true, worse, _ = chance
    found = compare(answers(TEAM, true, worse), live([[TEAM.labels[each]] for each in worse]))
    target = found["targets"]["team"]
    assert all(each["confidence_interval"] == [0.0, 0.0] for each in target["figures"].values())
    assert target["changed"]["fixed"] == target["changed"]["broken"] == 0
    assert target["examples"] == {"fixed": [], "broken": []}
    assert all(each["difference"] == 0 for each in target["classes"])


def test_rows_that_changed_are_shown_the_surest_first():
    new = answers(TEAM, [0, 0, 1, 2], [0, 0, 0, 2])
    found = compare(new, live([["gas"], ["gas"], ["elevators"], ["gas"]]))["targets"]["team"]
    assert found["changed"] == {"fixed": 2, "broken": 1, "both_right": 1, "both_wrong": 0}
    assert [each["row"] for each in found["examples"]["fixed"]] == [101, 100]
    assert found["examples"]["broken"][0] == {
        "row": 102,
        "label": "elevators",
        "live": "elevators",
        "candidate": "billing",
        "confidence": 0.5,
        "text": "text 2",
    }
    assert found["classes"][0]["label"] == "elevators", "the greatest loss comes first"


def test_several_labels_are_compared_by_exact_match_and_both_f1():
    true = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], bool)
    new = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]], bool)
    old = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    said = [[TOPICS.labels[index] for index in np.flatnonzero(row)] for row in old]
    figures = compare(answers(TOPICS, true, new), live(said, TOPICS))["targets"]["topics"]["figures"]
    assert figures["exact_match"]["candidate"] == accuracy_score(true, new)
    assert figures["exact_match"]["live"] == accuracy_score(true, old)
    for average in ("micro", "macro"):
        expected = f1_score(true, new, average=average, zero_division=0)
        assert figures[f"{average}_f1"]["candidate"] == pytest.approx(expected)


def test_labels_that_only_one_model_knows_are_said_and_count():
    old = Target("team", "one", ("billing", "gas", "permits"))
    found = compare(
        answers(TEAM, [0, 1, 2, 2], [0, 1, 2, 2]), live([["billing"], ["permits"], ["gas"], ["gas"]], old)
    )
    target = found["targets"]["team"]
    assert target["labels"] == {"only_live": ["permits"], "only_candidate": ["elevators"]}
    assert target["figures"]["accuracy"]["live"] == 0.75
    assert any("does not know elevators" in text for text in found["warnings"])
    assert any("permits" in text for text in found["warnings"])


def test_a_renamed_only_target_is_still_compared_and_a_missing_one_is_named():
    renamed = Target("label", "one", TEAM.labels)
    assert compare(answers(TEAM, [0, 1], [0, 1]), live([["gas"], ["gas"]], renamed))["status"] == "compared"
    two = comparison.match([TEAM, TOPICS], [TOPICS])
    assert two == {"topics": TOPICS}


def test_rows_that_the_live_model_was_trained_on_are_left_out():
    true = np.zeros(80, np.int64)
    predicted = np.where(np.arange(80) < 40, 1, 0)  # wrong where the live model knows the answers by heart
    known = np.arange(80) < 40
    found = compare(answers(TEAM, true, predicted), live([["billing"]] * 80, known=known))
    assert found["rows"] == {"test": 80, "known_to_live": 40, "compared": 40}
    assert found["targets"]["team"]["figures"]["accuracy"]["difference"] == 0
    assert "trained on 40 of the 80" in found["warnings"][0]
    few = compare(answers(TEAM, true, predicted), live([["billing"]] * 80, known=np.arange(80) < 75))
    assert few["rows"]["compared"] == 80
    assert not few["fair"]
    verdict = metrics.verdict(few, ("accuracy", 0.01))
    assert verdict.passed, "too good figures of the live model must not stop a new one"
    assert "was not applied" in verdict.message


@pytest.mark.parametrize(("margin", "passed"), [(0.25, True), (0.2499, False)])
def test_the_margin_stops_a_worse_model_and_names_figure_live_figure_and_margin(margin, passed):
    found = compare(
        answers(TEAM, [0, 1, 2, 0], [0, 1, 2, 1]), live([["billing"], ["elevators"], ["gas"], ["billing"]])
    )
    verdict = metrics.verdict(found, ("accuracy", margin))
    assert verdict.passed is passed
    assert verdict.worse_by == 0.25
    assert "accuracy 0.7500, live 1.0000 (version 3)" in verdict.message
    assert f"{margin:g}" in verdict.message
    content = {"gate": {"passed": True, "message": "all 2 thresholds are met"}}
    judged = metrics.judged(content, comparison.without_texts(found), verdict)
    assert judged["gate"]["passed"] is passed
    assert judged["gate"]["worse_than_live_by"] == 0.25
    assert "text 3" not in json.dumps(judged), "evaluation.json holds no text"


def test_without_a_live_model_the_margin_lets_through_and_unresolved_it_does_not():
    none = comparison.nothing("none", "No version is approved yet.")
    assert metrics.verdict(none, ("macro_f1", 0.0)).passed
    unresolved = metrics.verdict(comparison.nothing("unresolved", "nobody looked"), ("macro_f1", 0.02))
    assert not unresolved.passed
    assert "comparison.not_worse_by is 0.02, but nobody looked" in unresolved.message
    assert metrics.verdict(comparison.nothing("unresolved", ""), None) == (0.0, True, "")


def test_differences_in_data_and_settings_are_found():
    def data(sha: str, counts: dict[str, int]) -> dict:
        return {
            "settings": {"columns": {"text": ["body"], "join": "newline"}, "redact": None},
            "input": {"content_sha256": sha, "rows": sum(counts.values())},
            "sets": {"train": {"texts": sum(counts.values())}},
            "labels": {name: {"train": count} for name, count in counts.items()},
        }

    old = {"training": {"epochs": 8, "seed": 1}, "split": {"test": 0.2}}
    new = {"training": {"epochs": 3, "seed": 1}, "split": {"test": 0.2}, "triage": None}
    model = live([["gas"]] * 2, data=data("a", {"gas": 30, "billing": 10}), settings=old)
    found = compare(
        answers(TEAM, [0, 1], [0, 1]), model, settings=new, data=data("b", {"gas": 30, "billing": 30})
    )
    assert found["settings"] == [{"key": "training.epochs", "live": 8, "candidate": 3}]
    assert found["data"]["same"] is False
    assert {each["label"]: each["candidate"]["share"] for each in found["data"]["label_mix"]} == {
        "gas": 0.5,
        "billing": 0.5,
    }


def test_hashes_of_texts_that_were_read_in_another_way_tell_nothing():
    def data(redact: object) -> dict:
        columns = {"text": ["body"], "join": "newline"}
        return {
            "settings": {"columns": columns, "redact": redact},
            "input": {"content_sha256": "a", "rows": 2},
            "sets": {},
            "labels": {
                "team": {"gas": {"train": 1}, "train": {"train": 3}},
                "topics": {"delay": {"train": 2}},
            },
        }

    old = live([["billing"], ["gas"]], known=np.array([True, False]), data=data(None))
    new = answers(TEAM, [0, 2], [0, 2])
    assert compare(new, old, data=data(None))["rows"]["known_to_live"] == 1
    found = compare(new, old, data=data({"entities": ["EMAIL"]}))
    assert found["rows"]["known_to_live"] == 0
    assert "cannot be told" in found["warnings"][0]
    mix = {each["label"]: each["live"] for each in found["data"]["label_mix"]}
    assert mix["team: train"] == {"rows": 3, "share": 0.75}
    assert mix["topics: delay"] == {"rows": 2, "share": 1.0}


def test_the_report_says_everything_in_words_and_escapes_texts():
    new = answers(TEAM, [0, 0, 1], [0, 2, 1])
    old = live([["gas"], ["billing"], ["elevators"]])
    found = comparison.compare(
        old, [new], ["<b>one</b>", "two", "three"], [1, 2, 3], {"text": tiny.TEXT}, 50, 1
    )
    html = report.sections(found, metrics.verdict(found, ("accuracy", 0.1)))
    assert "Margin passed" in html
    assert "&lt;b&gt;one" in html
    assert "= the same" in html
    assert "became wrong" in html
    assert "does not carry its settings" in html
    assert "No version" in report.sections(
        comparison.nothing("none", "no version"), metrics.verdict(comparison.nothing("none", ""), None)
    )


# --- with a real model ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(trained: Path, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs of a live model: live_model/ with its archive, live_settings/, live_report/."""
    folder = tmp_path_factory.mktemp("live")
    for name in ("live_model", "live_settings", "live_report"):
        (folder / name).mkdir()
    with tarfile.open(folder / "live_model/model.tar.gz", "w:gz") as archive:
        archive.add(trained / "model", arcname=".")
    (folder / "live_settings/settings.json").write_text('{"training": {"epochs": 10}}', encoding="utf-8")
    hashes.write_fingerprints(sets, folder / "live_report")
    return folder


def ask(folder: Path, texts: list[str]) -> LiveModel:
    places = [folder / name for name in ("live_model", "live_settings", "live_report")]
    return models.ask_live(ARN, "abc123", *places, texts)


def test_the_live_model_answers_through_its_own_code_and_knows_what_it_was_trained_on(packed, sets):
    learnt = tiny.examples(96, 0)[0][0]
    texts = [learnt, "please the furnace thank you", "we have a question about the invoice"]
    found = ask(packed, texts)
    assert [each["team"] for each in found.answers][1:] == [["gas"], ["billing"]]
    assert found.known.tolist() == [True, False, False]
    assert found.settings == {"training": {"epochs": 10}}
    assert found.version == "3"


def test_a_model_whose_code_fails_is_told_and_no_traceback(packed, trained, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(packed, broken)
    shutil.copytree(trained / "model", tmp_path / "model")
    with (tmp_path / "model/code/inference.py").open("a", encoding="utf-8") as file:
        file.write("\nraise RuntimeError('this code is no good')\n")
    with tarfile.open(broken / "live_model/model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model", arcname=".")
    with pytest.raises(CannotAsk, match="RuntimeError: this code is no good"):
        ask(broken, ["a"])
    (broken / "live_model/model.tar.gz").write_bytes(b"no archive")
    with pytest.raises(CannotAsk, match="cannot be unpacked"):
        ask(broken, ["a"])
    (broken / "live_model/model.tar.gz").unlink()
    with pytest.raises(CannotAsk, match="not in S3 any more"):
        ask(broken, ["a"])


def test_serving_json_of_before_targets_had_names_is_understood():
    (target,) = models.targets_of({"labels": ["a", "b"]})
    assert target.labels == ("a", "b")
    assert models.labels_of({"label": "a", "score": 0.9}, [target]) == {"label": ["a"]}
    both = {"team": {"label": "gas", "score": 1}, "topics": {"labels": [{"label": "delay", "score": 1}]}}
    assert models.labels_of(both, [TEAM, TOPICS]) == {"team": ["gas"], "topics": ["delay"]}


def test_hashes_are_of_what_training_reads_and_hold_no_text(sets, tmp_path):
    hashes.write_fingerprints(sets, tmp_path)
    found = hashes.read_fingerprints(tmp_path)
    assert len(found) == 96 + 30
    assert hashes.known([tiny.examples(30, 1)[5][0], "never seen"], found).tolist() == [True, False]
    assert hashes.read_fingerprints(tmp_path / "nowhere") is None


def test_without_draws_the_interval_is_the_difference_itself():
    new = answers(TEAM, [0, 1], [0, 1])
    target = compare_target(new, TEAM, [{"team": ["gas"]}] * 2, np.arange(2), ["a", "b"], [1, 2], 0, 1)
    assert target["figures"]["accuracy"]["confidence_interval"] == [1.0, 1.0]


def test_figures_classes_and_comparison_are_in_it():
    tested, compared = json.loads(registry.model_card(EVALUATION)["evaluation_details"])
    figures, classes = tested["metric_groups"]
    assert figures["metric_data"] == [
        {"name": "accuracy", "type": "number", "value": 0.81, "notes": "95 % interval 0.7900 to 0.8300"}
    ]
    assert [each["name"] for each in classes["metric_data"]] == ["billing", "gas"]
    assert "Version 3" in compared["evaluation_observation"]
    names = [each["name"] for each in compared["metric_groups"][0]["metric_data"]]
    assert names == ["accuracy", "answers that became right", "answers that became wrong"]
    caveats = json.loads(registry.model_card(EVALUATION)["caveats"])
    assert "gas 0.67" in caveats
    assert "does not know gas" in caveats


def test_it_stays_within_its_length_with_the_largest_classes_kept_and_on_one_line():
    many = {
        **EVALUATION,
        "targets": {
            name: {
                "multiclass_classification_metrics": {"per_class": {k * 20: v for k, v in CLASSES.items()}}
            }
            for name in ("one", "two")
        },
    }
    found = registry.model_card(many)
    assert len(found["evaluation_details"]) <= registry.LONGEST
    assert "\n" not in found["evaluation_details"] + found["caveats"]
    tested = json.loads(found["evaluation_details"])[0]
    assert tested["metric_groups"][1]["metric_data"][0]["name"].startswith("class 400")
    assert len(json.loads(found["caveats"])) <= registry.TEXT
