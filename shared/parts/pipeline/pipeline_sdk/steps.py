"""The thin layer over the SageMaker SDK: a step that is a plain request, and a definition without a network.

The SDK's own TrainingStep and ProcessingStep take a ModelTrainer or a Processor, which upload code under a
timestamp (so that step caching never hits) and call IAM and STS while building.
"""

import functools
import json
import logging
from collections.abc import Sequence
from typing import Any

import boto3
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.workflow.parameters import Parameter
from sagemaker.core.workflow.properties import Properties, PropertyFile
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import (
    SageMakerJobExceptionTypeEnum,
    SageMakerJobStepRetryPolicy,
    StepExceptionTypeEnum,
    StepRetryPolicy,
)
from sagemaker.mlops.workflow.steps import CacheConfig, ConfigurableRetryStep, Step, StepTypeEnum

# They announce at INFO which files of defaults they did not find, and which endpoints and keys they did.
for _name in ("sagemaker.config", "botocore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_SHAPES = {
    "Processing": "DescribeProcessingJobResponse",
    "Training": "DescribeTrainingJobResponse",
    "RegisterModel": "DescribeModelPackageOutput",
    "Model": "DescribeModelOutput",
    "Transform": "DescribeTransformJobResponse",
}


class RequestStep(ConfigurableRetryStep):
    """A pipeline step whose arguments are the request itself, pipeline variables included."""

    def __init__(
        self,
        name: str,
        kind: str,
        request: dict[str, Any],
        *,
        display_name: str,
        cache_days: int | None = None,
        property_files: list[PropertyFile] | None = None,
        wait_for_capacity_hours: int | None = None,
        depends_on: list[Step] | None = None,
    ) -> None:
        # Throttling and faults of the service are not the data scientist's business: try again for a while.
        retries: list[StepRetryPolicy | SageMakerJobStepRetryPolicy] = [
            StepRetryPolicy(
                exception_types=[StepExceptionTypeEnum.SERVICE_FAULT, StepExceptionTypeEnum.THROTTLING],
                interval_seconds=10,
                max_attempts=5,
            )
        ]
        if wait_for_capacity_hours:
            # All instances of the account's quota are in use: wait for other jobs to end.
            retries.append(
                SageMakerJobStepRetryPolicy(
                    exception_types=[SageMakerJobExceptionTypeEnum.RESOURCE_LIMIT],
                    interval_seconds=60,
                    backoff_rate=1.5,
                    expire_after_mins=wait_for_capacity_hours * 60,
                )
            )
        super().__init__(
            name,
            StepTypeEnum(kind),
            display_name=display_name,
            retry_policies=retries,
            depends_on=depends_on,
        )
        self._request = request
        self._cache = CacheConfig(enable_caching=True, expire_after=f"P{cache_days}D") if cache_days else None
        self.property_files = property_files or []
        self._properties = Properties(step_name=name, step=self, shape_name=_SHAPES[kind])

    @property
    def arguments(self) -> dict[str, Any]:
        """The request to the service."""
        return self._request

    @property
    def properties(self) -> Any:
        """What the step offers to later steps: the fields of the matching Describe call."""
        return self._properties

    def output_uri(self, name: str) -> Any:
        """The S3 URI of a processing job's output."""
        return self._properties.ProcessingOutputConfig.Outputs[name].S3Output.S3Uri

    def to_request(self) -> dict[str, Any]:
        """The step as the definition has it."""
        request: dict[str, Any] = super().to_request()
        if self._cache is not None:
            request.update(self._cache.config)
        if self.property_files:
            request["PropertyFiles"] = [file.expr for file in self.property_files]
        return request


class FunctionStep(Step):
    """A step that calls a Lambda function which is there already.

    The SDK's own LambdaStep wants a session with AWS, and warns that it does not change the function.

    Args:
        name: of the step.
        function_arn: of the function.
        inputs: what it is called with, pipeline variables included.
        outputs: the names of what it returns, each a text.
    """

    def __init__(
        self,
        name: str,
        function_arn: str,
        inputs: dict[str, Any],
        *,
        display_name: str,
        outputs: Sequence[str] = (),
        depends_on: list[Step] | None = None,
    ) -> None:
        super().__init__(name, display_name, None, StepTypeEnum.LAMBDA, depends_on)
        self._arn, self._inputs, self._outputs = function_arn, inputs, outputs

    @property
    def arguments(self) -> dict[str, Any]:
        """What the function is called with."""
        return self._inputs

    @property
    def properties(self) -> Any:
        """Nothing but `output`."""
        return Properties(step_name=self.name, step=self)

    def output(self, name: str) -> Any:
        """What the function returns under a name."""
        return Properties(step_name=self.name, step=self, path=f"OutputParameters['{name}']")

    def to_request(self) -> dict[str, Any]:
        """The step as the definition has it."""
        declared = [{"OutputName": name, "OutputType": "String"} for name in self._outputs]
        return {**super().to_request(), "FunctionArn": self._arn, "OutputParameters": declared}


@functools.cache
def _session(region: str) -> Session:
    """What the SDK wants and never uses: it has a region, and credentials that open nothing."""
    return Session(
        boto_session=boto3.Session(
            region_name=region,
            aws_access_key_id="unused",
            aws_secret_access_key="unused",
        )
    )


def definition_of(name: str, region: str, parameters: list[Parameter], steps: list[Step]) -> str:
    """The pipeline definition as JSON text with sorted keys, indented for people and for diffs."""
    pipeline = Pipeline(
        name=name,
        parameters=parameters,
        steps=steps,
        sagemaker_session=_session(region),
        pipeline_experiment_config=None,
    )
    document = {key: value for key, value in json.loads(pipeline.definition()).items() if value is not None}
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
