"""The SageMaker pipeline: preprocess -> train -> evaluate -> quality gate -> register, or fail with figures.

The graph is written with the SageMaker Python SDK; building it is a pure function of the repository's
content, so the same commit always gives the same bytes. Files that the jobs need are named by their content
(assets.py) and uploaded separately.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.metrics import PLACES

from . import assets, images, registry, requests, wheels
from .assets import Asset
from .config import ModelConfig, Settings, is_s3
from .images import Images
from .load import base_model, commit
from .requests import Request
from .targets import Threshold

CACHE_DAYS = 30
_NOT_OF_THE_MODEL = ("acceptance", "card", "comparison", "compute", "schedule")


@dataclass(frozen=True)
class Build:
    """A pipeline definition and the files that it refers to.

    Attributes:
        definition: the JSON document, as text.
        uploads: what has to be in S3 before the pipeline starts.
        parameters: name -> default, for the reader.
    """

    definition: str
    uploads: tuple[Asset, ...]
    parameters: dict[str, str]


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def build(
    settings: Settings,
    environment: Mapping[str, str] = os.environ,
    *,
    python_of: Callable[[str], Path] | None = None,
    say: Callable[[str], None] = _to_stderr,
) -> Build:
    """Build the definition for the repository that `settings` were read from.

    Args:
        settings: of the repository.
        environment: of this process.
        python_of: finds the interpreter that stands for an image, in a sandbox of this process.
        say: is told of what takes a while.

    Raises:
        UserError: data, base model or wheels that the configuration asks for cannot be had.
    """
    project, model = settings.project, settings.model
    wants_phones = model.data.redact is not None and model.data.redact.phones
    code = assets.code(project.bucket, settings.root / "steps", ["phonenumbers"] if wants_phones else [])
    uploads = [code]

    def locate(name: str, location: str) -> str:
        if is_s3(location):
            return location
        asset = assets.data(project.bucket, name, settings.root / location)
        uploads.append(asset)
        return asset.uri

    data_uri = locate("data", model.data.source)
    test_uri = locate("test data", model.data.test_source) if model.data.test_source else None
    base = base_model(model.model.base, settings.root)
    base_uri = base.s3_uri
    if base.folder is not None:
        asset = assets.base_model(project.bucket, base.folder)
        uploads.append(asset)
        base_uri = asset.uri
    config_text = (settings.root / "config/model.yaml").read_bytes()
    config_digest = hashlib.sha256(config_text).hexdigest()
    config_asset = Asset(
        "config", f"s3://{project.bucket}/config/{config_digest[:16]}", {"model.yaml": config_text}
    )
    settings_asset = _settings_asset(project.bucket, model.model_dump(mode="json"))
    no_live_model = registry.placeholder(project.bucket)
    uploads += [config_asset, settings_asset, no_live_model]
    image = images.of(settings)
    training_code = code
    if model.serving.runtime == "onnx":
        interpreter = images.interpreter_of_the_job(image, environment, python_of)
        found = wheels.fetch(settings.root, interpreter, say)
        training_code = assets.training_code(project.bucket, code, found)
        uploads.append(training_code)

    parameters = {
        "InputDataUrl": data_uri,
        "TrainingInstanceType": model.compute.train.instance_type,
        "ProcessingInstanceType": model.compute.preprocess.instance_type,
        "Epochs": str(model.training.epochs),
        **registry.live_defaults(no_live_model.uri),
    }
    definition = _graph(
        settings,
        parameters,
        image,
        code_uri=code.uri,
        training_code_uri=training_code.uri,
        test_uri=test_uri,
        base_uri=base_uri,
        hub_id=base.hub_id,
        commit=commit(settings.root, environment),
        metadata={
            "config_uri": f"{config_asset.uri}/model.yaml",
            "config_sha256": config_digest,
            "settings_uri": settings_asset.uri,
        },
    )
    return Build(definition, tuple(uploads), parameters)


def _graph(
    settings: Settings,
    defaults: dict[str, str],
    image: Images,
    *,
    code_uri: str,
    training_code_uri: str,
    test_uri: str | None,
    base_uri: str | None,
    hub_id: str | None,
    commit: str,
    metadata: dict[str, Any],
) -> str:
    # Here and not at the top: the SDK takes seconds to import, and most commands do not need it.
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.core.workflow.parameters import ParameterString
    from sagemaker.core.workflow.properties import PropertyFile
    from sagemaker.mlops.workflow.condition_step import ConditionStep
    from sagemaker.mlops.workflow.fail_step import FailStep

    from pipeline_sdk.steps import RequestStep, definition_of

    project, model = settings.project, settings.model
    parameters = {name: ParameterString(name=name, default_value=value) for name, value in defaults.items()}

    def run_output(step: str) -> Any:
        """URIs under s3://bucket/runs/<execution>/<step>/: outputs never overwrite those of another run."""
        run = ExecutionVariables.PIPELINE_EXECUTION_ID
        return lambda name: Join(on="/", values=[f"s3://{project.bucket}/runs", run, step, name])

    data_report = PropertyFile(name="DataReport", output_name="report", path="data_report.json")
    preprocess = RequestStep(
        "Preprocess",
        "Processing",
        requests.preprocess(
            settings,
            image,
            code_uri,
            parameters["InputDataUrl"],
            test_uri,
            run_output("preprocess"),
            parameters["ProcessingInstanceType"],
        ),
        display_name="Split the data",
        cache_days=CACHE_DAYS,
        property_files=[data_report],
    )
    train_channels: dict[str, Any] = {
        "train": preprocess.output_uri("train"),
        "validation": preprocess.output_uri("validation"),
    }
    if base_uri is not None:
        train_channels["base_model"] = base_uri
    hyperparameters = requests.hyperparameters_of(model, hub_id)
    same_training = assets.digest_of(training_code_uri, base_uri or "", json.dumps(hyperparameters))
    train = RequestStep(
        "Train",
        "Training",
        requests.train(
            settings,
            image,
            training_code_uri,
            train_channels,
            {**hyperparameters, "epochs": parameters["Epochs"]},
            parameters["TrainingInstanceType"],
            f"s3://{project.bucket}/checkpoints/{same_training}",
        ),
        display_name="Fine-tune the model",
        cache_days=CACHE_DAYS,
    )
    report = PropertyFile(name="EvaluationReport", output_name="evaluation", path="evaluation.json")
    evaluation_card = PropertyFile(name="ModelCard", output_name="evaluation", path="model_card.json")
    model_uri = train.properties.ModelArtifacts.S3ModelArtifacts
    evaluate = RequestStep(
        "Evaluate",
        "Processing",
        requests.evaluate(
            settings,
            image,
            code_uri,
            model_uri,
            preprocess.output_uri("test"),
            {"report": preprocess.output_uri("report"), "settings": metadata["settings_uri"]},
            {name: parameters[name] for name in registry.LIVE_PARAMETERS},
            run_output("evaluate"),
            parameters["ProcessingInstanceType"],
        ),
        display_name="Measure it on the test set",
        cache_days=CACHE_DAYS,
        property_files=[report, evaluation_card],
    )

    def figure(path: str) -> JsonGet:
        return JsonGet(step_name=evaluate.name, property_file=report, json_path=path)

    evaluation_uri = evaluate.output_uri("evaluation")
    data_sha256 = JsonGet(
        step_name=preprocess.name, property_file=data_report, json_path="input.content_sha256"
    )
    data_report_uri = Join(on="/", values=[preprocess.output_uri("report"), "data_report.json"])
    report_uri = Join(on="/", values=[evaluation_uri, "report.html"])
    model_card = Join(
        values=registry.joined_card(
            registry.known_card(settings, commit, hyperparameters, image.steps),
            {
                "model_artifact": model_uri,
                "training_arn": train.properties.TrainingJobArn,
                "training_datasets": parameters["InputDataUrl"],
                "custom_details": {
                    "git_commit": commit,
                    "data_sha256": data_sha256,
                    "data_report": data_report_uri,
                    "evaluation_report": report_uri,
                    "configuration": metadata["config_uri"],
                },
            },
            *(
                JsonGet(step_name=evaluate.name, property_file=evaluation_card, json_path=path)
                for path in ("evaluation_details", "caveats")
            ),
        )
    )
    bounds = requests.thresholds(model)
    metrics: dict[str, Any] = {name: Join(values=[figure(_place(model, name))]) for name in bounds}
    register = RequestStep(
        "Register",
        "RegisterModel",
        requests.register(
            settings,
            image,
            model_uri,
            Join(on="/", values=[evaluation_uri, "evaluation.json"]),
            commit,
            ExecutionVariables.PIPELINE_EXECUTION_ARN,
            {
                **metadata,
                **metrics,
                "git_commit": commit,
                "training_job_arn": train.properties.TrainingJobArn,
                "data_sha256": data_sha256,
                "data_report_uri": data_report_uri,
                "report_uri": report_uri,
            },
            model_card,
        ),
        display_name="Register, pending approval",
    )
    gate = ConditionStep(
        "QualityGate",
        display_name="Good enough?",
        conditions=[
            *(_condition(figure(_place(model, name)), bound) for name, bound in bounds.items()),
            *_not_worse_than_live(figure, model.comparison.not_worse_by),
        ],
        if_steps=[register],
        else_steps=[
            FailStep(
                "BelowThreshold",
                display_name="Not good enough",
                error_message=Join(on=" ", values=["Not registered:", figure("gate.message")]),
            )
        ],
    )
    return definition_of(
        project.pipeline_name,
        project.region,
        list(parameters.values()),
        [
            preprocess,
            train,
            evaluate,
            gate,
        ],
    )


def _place(model: ModelConfig, name: str) -> str:
    """Where in evaluation.json a figure is, given its name as in `requests.thresholds`."""
    target, _, metric = name.rpartition(".")
    settings = model.data.labels[target] if target else next(iter(model.data.labels.values()))
    place = PLACES["several" if settings.several else "one"]
    return f"{f'targets.{target}.' if target else ''}{place}.{metric}.value"


def _condition(figure: Any, threshold: Threshold) -> Any:
    from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo, ConditionLessThanOrEqualTo

    bound, value = requests.bound_of(threshold.at_least, threshold.at_most)
    kind = ConditionGreaterThanOrEqualTo if bound == "at_least" else ConditionLessThanOrEqualTo
    return kind(left=figure, right=value)


def _not_worse_than_live(figure: Any, margin: float | None) -> list[Any]:
    """The champion's condition, if a margin is declared; the figure is 0 where nothing could be compared."""
    from sagemaker.core.workflow.conditions import ConditionLessThanOrEqualTo

    if margin is None:
        return []
    return [ConditionLessThanOrEqualTo(left=figure("gate.worse_than_live_by"), right=margin)]


def _settings_asset(bucket: str, model: dict[str, Any]) -> Asset:
    """What makes a model, with every default spelled out: what the next model's report compares with.

    Left out is what does not change a model: an edit there must not measure it again.
    """
    kept = {key: value for key, value in model.items() if key not in _NOT_OF_THE_MODEL}
    del kept["serving"]["image"]
    if kept["serving"]["runtime"] == "torch":  # as models are that were made before there was a choice
        del kept["serving"]
    text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    uri = f"s3://{bucket}/config/{assets.digest_of(text)}"
    return Asset("settings", uri, {"settings.json": text.encode()})


def steps_of(definition: str) -> list[Request]:
    """The steps of a definition, those in the branches of conditions included, in order."""
    found: list[Request] = []

    def walk(steps: list[Request]) -> None:
        for step in steps:
            found.append(step)
            if step["Type"] == "Condition":
                walk(step["Arguments"]["IfSteps"])
                walk(step["Arguments"]["ElseSteps"])

    walk(json.loads(definition)["Steps"])
    return found
