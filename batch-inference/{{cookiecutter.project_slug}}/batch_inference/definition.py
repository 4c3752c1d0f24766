"""The SageMaker pipeline that answers one file.

    Begin       finds the newest approved model, and keeps this version of the file for the run
    Normalise   reads the file whatever its form: a request for each row that can be asked
    AnyText     is there one?
    CreateModel, Transform    the model answers the requests
    Answer      the same rows in the same order, with their answers; every row that was asked has exactly one
    Publish     puts them where people look for them

Building it is a pure function of the repository's content. What a run makes is in work/<execution>/ of the
bucket, so that two runs, also of the same file, never meet.
"""

import os
from typing import Any

from . import requests
from .config import Settings
from .requests import WORK, Target

PARAMETERS = ("Bucket", "Key", "Version")
"""As the event has them. Without underscores, which EventBridge does not take in names of parameters."""

LATEST = "latest"
"""Version when a run is started by hand: the newest one."""

HOURS_FOR_CAPACITY = 12
"""Many files at once use up the account's quota of instances: a job waits this long for one."""

_PROCESSING_IMAGE = {"framework": "sklearn", "version": "1.4-2", "py_version": "py3"}
"""The smallest image that AWS has for processing: the steps need its Python and nothing else."""


def build(settings: Settings, at: Target) -> str:
    """The definition for one environment, as JSON text."""
    # The SDK (3.27) creates a client while it is imported, and that wants a region.
    os.environ.setdefault("AWS_DEFAULT_REGION", settings.project.region)
    # Here and not at the top: the SDK takes seconds to import, and most commands do not need it.
    from sagemaker.core import image_uris
    from sagemaker.core.workflow.conditions import ConditionGreaterThan
    from sagemaker.core.workflow.execution_variables import ExecutionVariables
    from sagemaker.core.workflow.functions import Join, JsonGet
    from sagemaker.core.workflow.parameters import ParameterString
    from sagemaker.core.workflow.properties import PropertyFile
    from sagemaker.mlops.workflow.condition_step import ConditionStep

    from pipeline_sdk.steps import FunctionStep, RequestStep, definition_of

    image = image_uris.retrieve(
        region=settings.project.region, instance_type="ml.m5.large", **_PROCESSING_IMAGE
    )
    execution = ExecutionVariables.PIPELINE_EXECUTION_ID
    parameters = {
        "Bucket": ParameterString(name="Bucket", default_value=at.bucket),
        "Key": ParameterString(name="Key"),
        "Version": ParameterString(name="Version", default_value=LATEST),
    }

    def work(name: str) -> Any:
        return Join(on="/", values=[f"s3://{at.bucket}/{WORK}", execution, name])

    begin = FunctionStep(
        "Begin",
        at.begin_arn,
        {
            "bucket": parameters["Bucket"],
            "key": parameters["Key"],
            "version_id": parameters["Version"],
            "execution_id": execution,
        },
        display_name="Which model answers?",
        outputs=["ModelPackageArn"],
    )
    report = PropertyFile(name="Report", output_name="report", path="report.json")
    normalise = RequestStep(
        "Normalise",
        "Processing",
        requests.normalise(settings, at, image, work),
        display_name="Read the file",
        property_files=[report],
        wait_for_capacity_hours=HOURS_FOR_CAPACITY,
        depends_on=[begin],
    )
    model = RequestStep(
        "CreateModel",
        "Model",
        requests.model(settings, at, begin.output("ModelPackageArn")),
        display_name="Make it a model",
    )
    transform = RequestStep(
        "Transform",
        "Transform",
        requests.transform(
            settings, at, model.properties.ModelName, normalise.output_uri("requests"), work("answers")
        ),
        display_name="Ask the model",
        wait_for_capacity_hours=HOURS_FOR_CAPACITY,
    )
    answers = transform.properties.TransformOutput.S3OutputPath

    def ending(suffix: str, answered: Any, model_name: Any) -> list[Any]:
        """Answers to rows, and what was made is put in its place; once for each branch."""
        answer = RequestStep(
            f"Answer{suffix}",
            "Processing",
            requests.answer(settings, at, image, work, answers=answered),
            display_name="An answer for each row",
            wait_for_capacity_hours=HOURS_FOR_CAPACITY,
        )
        publish = FunctionStep(
            f"Publish{suffix}",
            at.publish_arn,
            {"execution_id": execution, "model_name": model_name},
            display_name="Publish the answers",
            outputs=["Published"],
            depends_on=[answer],
        )
        return [answer, publish]

    asked = JsonGet(step_name=normalise.name, property_file=report, json_path="asked")
    any_text = ConditionStep(
        "AnyText",
        display_name="Is there a text?",
        conditions=[ConditionGreaterThan(left=asked, right=0)],
        if_steps=[model, transform, *ending("", answers, model.properties.ModelName)],
        else_steps=ending("NoText", None, ""),
    )
    return definition_of(
        at.pipeline, settings.project.region, list(parameters.values()), [begin, normalise, any_text]
    )
