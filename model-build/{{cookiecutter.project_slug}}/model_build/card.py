"""The model card of a version: what config/model.yaml, the definition and evaluation know about it.

A model package's card has a layout of its own, simpler than that of other cards: `SageMakerModelCardSchema`
in "View the Details of a Model Version" of the SageMaker Developer Guide. Its content is JSON as one text.
Most of it is known when the definition is built; figures come from the pipeline, as texts of JSON that
evaluation has written (steps/report/registry.py), joined in between.
"""

import json
from collections.abc import Mapping
from typing import Any

from .config import Card, Settings

NOT_STATED = "Not stated (config/model.yaml: card)."
STATUS = "PendingReview"
_TEXT = 2048


def static(settings: Settings, commit: str, hyperparameters: Mapping[str, str], image: str) -> dict[str, Any]:
    """The parts of a card that are known before anything has run.

    Args:
        settings: of the repository.
        commit: that the definition is built from.
        hyperparameters: of the training job.
        image: of the training job.
    """
    project, model = settings.project, settings.model
    card = model.card
    return {
        "model_overview": {
            "model_creator": _cut(f"{project.name}: pipeline {project.pipeline_name}, commit {commit}", 1024)
        },
        "intended_uses": _intended_uses(card),
        "business_details": {
            "business_problem": _cut(card.purpose or project.description or NOT_STATED, _TEXT),
            "business_stakeholders": card.stakeholders or NOT_STATED,
        },
        "training_details": {
            "training_observations": _cut(
                f"Fine-tuned from {model.model.base}; texts of {' + '.join(model.data.text_columns)}, "
                f"at most {model.model.max_length} tokens, cut by {model.model.truncation}. "
                "Minimises cross-entropy; "
                f"the epoch with the best {model.training.early_stopping.metric} on validation is kept.",
                1024,
            ),
            "training_job_details": {
                "training_environment": {"container_image": [image]},
                "user_provided_hyper_parameters": [
                    {"name": name, "value": value[:255]}
                    for name, value in sorted(hyperparameters.items())
                    if value and name != "epochs"  # a parameter of the run: the training job says it
                ],
            },
        },
        "additional_information": {
            "ethical_considerations": card.ethical_considerations or NOT_STATED,
        },
    }


def joined(known: Mapping[str, Any], values: Mapping[str, Any], evaluation: Any, caveats: Any) -> list[Any]:
    """The card as pieces of text, to be joined by the pipeline: pieces of JSON, and variables between them.

    Args:
        known: of `static`.
        values: pipeline variables that are plain texts (URIs, ARNs, digests): `model_artifact`,
            `training_arn`,
            `training_datasets` and those of `custom_details`, by these names.
        evaluation: variable with the card's evaluation_details, JSON.
        caveats: variable with the card's caveats_and_recommendations, JSON.
    """
    content = json.loads(json.dumps(known))
    marks: dict[str, tuple[Any, bool]] = {}

    def mark(variable: Any, *, is_json: bool = False) -> str:
        name = f"\0{len(marks)}\0"
        marks[json.dumps(name)] = (variable, is_json)
        return name

    details = content["training_details"]["training_job_details"]
    content["model_overview"]["model_artifact"] = [mark(values["model_artifact"])]
    details["training_arn"] = mark(values["training_arn"])
    details["training_datasets"] = [mark(values["training_datasets"])]
    content["evaluation_details"] = mark(evaluation, is_json=True)
    content["additional_information"]["caveats_and_recommendations"] = mark(caveats, is_json=True)
    content["additional_information"]["custom_details"] = {
        name: mark(value) if not isinstance(value, str) else value[:1024]
        for name, value in values["custom_details"].items()
    }
    rest = json.dumps(content, separators=(",", ":"))
    pieces: list[Any] = []
    for quoted, (variable, is_json) in sorted(marks.items(), key=lambda each: rest.index(each[0])):
        before, _, rest = rest.partition(quoted)
        pieces += [before, variable] if is_json else [before + '"', variable]
        rest = rest if is_json else '"' + rest
    return [piece for piece in [*pieces, rest] if piece != ""]


def _intended_uses(card: Card) -> dict[str, str]:
    uses = {
        "purpose_of_model": card.purpose or NOT_STATED,
        "intended_uses": card.intended_uses or NOT_STATED,
        "factors_affecting_model_efficiency": _cut(
            f"Not for: {card.not_for}" if card.not_for else f"Uses that it is not for: {NOT_STATED}", _TEXT
        ),
        "risk_rating": card.risk_rating,
        "explanations_for_risk_rating": card.risk_reason or NOT_STATED,
    }
    return uses


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
