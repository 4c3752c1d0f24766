"""The model card: JSON once it is joined, in the layout and the lengths of a model package's card."""

import json
from pathlib import Path

import pytest

from model_build import card
from model_build.load import load

# "SageMakerModelCardSchema" in "View the Details of a Model Version" (SageMaker Developer Guide): the keys of
# each object; nothing else may be there. A number is the greatest length of a text.
LAYOUT: dict = {
    "model_overview": {"model_creator": 1024, "model_artifact": [1024]},
    "intended_uses": {
        "purpose_of_model": 2048,
        "intended_uses": 2048,
        "factors_affecting_model_efficiency": 2048,
        "risk_rating": 7,
        "explanations_for_risk_rating": 2048,
    },
    "business_details": {
        "business_problem": 2048,
        "business_stakeholders": 2048,
        "line_of_business": 2048,
    },
    "training_details": {
        "training_observations": 1024,
        "training_job_details": {
            "training_arn": 1024,
            "training_datasets": [1024],
            "training_environment": {"container_image": [1024]},
            "user_provided_hyper_parameters": [{"name": 255, "value": 255}],
        },
    },
    "evaluation_details": [
        {
            "name": 63,
            "evaluation_observation": 2096,
            "datasets": [1024],
            "metadata": {"*": 1024},
            "metric_groups": [
                {"name": 63, "metric_data": [{"name": 255, "notes": 1024, "type": 11, "value": 63}]}
            ],
        }
    ],
    "additional_information": {
        "ethical_considerations": 2048,
        "caveats_and_recommendations": 2048,
        "custom_details": {"*": 1024},
    },
}


def problems(content: object, layout: object, where: str = "card") -> list[str]:
    """What in a card is not as the layout says."""
    if isinstance(layout, dict):
        if not isinstance(content, dict):
            return [f"{where}: expected an object"]
        allowed = {key: layout.get(key, layout.get("*")) for key in content}
        return [
            text
            for key, inner in allowed.items()
            for text in (
                [f"{where}.{key}: unknown"]
                if inner is None
                else problems(content[key], inner, f"{where}.{key}")
            )
        ]
    if isinstance(layout, list):
        if not isinstance(content, list):
            return [f"{where}: expected a list"]
        return [text for each in content for text in problems(each, layout[0], f"{where}[]")]
    if isinstance(content, str):
        return [] if 0 < len(content) <= layout else [f"{where}: {len(content)} characters"]
    return [] if isinstance(content, int | float) else [f"{where}: expected a text or a number"]


EVALUATION = [
    {
        "name": "Test set",
        "evaluation_observation": "40 rows",
        "metric_groups": [
            {"name": "figures", "metric_data": [{"name": "accuracy", "type": "number", "value": 0.8}]}
        ],
    }
]


def joined(repository: Path) -> dict:
    """The card as the pipeline makes it, with its variables as SageMaker would fill them in."""
    pieces = card.joined(
        card.static(load(repository), "abc123", {"seed": "13", "epochs": "8", "base-model": ""}, "image:1"),
        {
            "model_artifact": ["s3://bucket/models/model.tar.gz"],  # a list stands for a variable here
            "training_arn": ["arn:aws:sagemaker:r:1:training-job/a"],
            "training_datasets": ["s3://bucket/data"],
            "custom_details": {"git_commit": "abc123", "data_sha256": ["5b9c"]},
        },
        [json.dumps(EVALUATION)],
        [json.dumps('careful: "billing" is weak')],
    )
    assert all(isinstance(piece, str) or len(piece) == 1 for piece in pieces)
    text = "".join(piece if isinstance(piece, str) else piece[0] for piece in pieces)
    assert "\n" not in text, "the pattern of ModelCardContent is .*"
    content: dict = json.loads(text)
    return content


def test_what_nobody_has_stated_is_said_to_be_so(repository):
    content = joined(repository)
    assert problems(content, LAYOUT) == []
    assert content["intended_uses"]["purpose_of_model"] == card.NOT_STATED
    assert content["intended_uses"]["risk_rating"] == "Unknown"
    details = content["training_details"]["training_job_details"]
    assert details["user_provided_hyper_parameters"] == [{"name": "seed", "value": "13"}]
    assert content["model_overview"]["model_artifact"] == ["s3://bucket/models/model.tar.gz"]
    assert content["evaluation_details"] == EVALUATION
    assert content["additional_information"]["caveats_and_recommendations"].startswith("careful")
    assert content["additional_information"]["custom_details"]["data_sha256"] == "5b9c"


def test_the_longest_statements_fit(repository, edit):
    longest = "x" * 2000
    for key in (
        "purpose",
        "intended_uses",
        "not_for",
        "stakeholders",
        "risk_reason",
        "ethical_considerations",
    ):
        edit("config/model.yaml", f"  {key}: null", f"  {key}: {longest}")
    edit("config/model.yaml", "risk_rating: Unknown", "risk_rating: High")
    content = joined(repository)
    assert problems(content, LAYOUT) == []
    assert content["intended_uses"]["risk_rating"] == "High"
    assert len(json.dumps(content)) < 100_000


@pytest.mark.parametrize("statement", ['says "so"', "naïve – ünïcode", "a\\nb"])
def test_any_statement_stays_json(repository, edit, statement):
    edit("config/model.yaml", "purpose: null", f"purpose: {json.dumps(statement)}")
    assert joined(repository)["intended_uses"]["purpose_of_model"] == statement
