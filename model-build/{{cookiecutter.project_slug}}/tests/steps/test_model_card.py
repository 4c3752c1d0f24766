"""The evaluation's part of a model card: within AWS's lengths, on one line, with figures and caveats."""

import json

from report import registry

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


def test_figures_classes_and_comparison_are_in_it():
    tested, compared = json.loads(registry.content(EVALUATION)["evaluation_details"])
    figures, classes = tested["metric_groups"]
    assert figures["metric_data"] == [
        {"name": "accuracy", "type": "number", "value": 0.81, "notes": "95 % interval 0.7900 to 0.8300"}
    ]
    assert [each["name"] for each in classes["metric_data"]] == ["billing", "gas"]
    assert "Version 3" in compared["evaluation_observation"]
    names = [each["name"] for each in compared["metric_groups"][0]["metric_data"]]
    assert names == ["accuracy", "answers that became right", "answers that became wrong"]
    caveats = json.loads(registry.content(EVALUATION)["caveats"])
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
    found = registry.content(many)
    assert len(found["evaluation_details"]) <= registry.LONGEST
    assert "\n" not in found["evaluation_details"] + found["caveats"]
    tested = json.loads(found["evaluation_details"])[0]
    assert tested["metric_groups"][1]["metric_data"][0]["name"].startswith("class 400")
    assert len(json.loads(found["caveats"])) <= registry.TEXT
