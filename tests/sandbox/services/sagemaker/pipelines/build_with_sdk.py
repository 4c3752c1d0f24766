"""Prints a definition that the SageMaker Python SDK v3 builds; test_definition.py runs it.

build_with_sdk.py BUCKET ROLE IMAGE SCRIPT
"""

from __future__ import annotations

import sys

import boto3
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.conditions import (
    ConditionEquals,
    ConditionIn,
    ConditionLessThan,
    ConditionNot,
    ConditionOr,
)
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.retry import SageMakerJobExceptionTypeEnum, SageMakerJobStepRetryPolicy
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition


def build(bucket: str, role: str, image: str, script: str) -> str:
    """Return the definition of a pipeline that counts, trains and judges."""
    session = PipelineSession(boto_session=boto3.Session(region_name="ca-central-1"), default_bucket=bucket)
    least, words = ParameterFloat("Least", 0.5), ParameterString("Words", "3")
    report = PropertyFile(name="Report", output_name="out", path="r.json")
    runs = Join(on="/", values=[f"s3://{bucket}/runs", ExecutionVariables.PIPELINE_EXECUTION_ID, "out"])
    output = ProcessingS3Output(s3_uri=runs, local_path="/opt/ml/processing/out", s3_upload_mode="EndOfJob")
    processor = ScriptProcessor(
        image_uri=image,
        command=["python3"],
        role=role,
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=session,
    )
    internal = SageMakerJobExceptionTypeEnum.INTERNAL_ERROR
    count = ProcessingStep(
        "Count",
        step_args=processor.run(
            code=script,
            arguments=[words],
            outputs=[ProcessingOutput(output_name="out", s3_output=output)],
        ),
        property_files=[report],
        cache_config=CacheConfig(enable_caching=True, expire_after="P30D"),
        retry_policies=[
            SageMakerJobStepRetryPolicy(exception_types=[internal], interval_seconds=1, max_attempts=2)
        ],
    )
    trainer = ModelTrainer(
        training_image=image,
        role=role,
        sagemaker_session=session,
        base_job_name="train",
        compute=Compute(instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=10),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=600),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/models"),
        hyperparameters={
            "epochs": words,
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{bucket}/code/sourcedir.tar.gz",
        },
    )
    counted = count.properties.ProcessingOutputConfig.Outputs["out"].S3Output.S3Uri
    channel = InputData(channel_name="train", data_source=counted)
    train = TrainingStep("Train", step_args=trainer.train(input_data_config=[channel]))
    share = JsonGet(step_name="Count", property_file=report, json_path="metrics.share")
    gate = ConditionStep(
        "Gate",
        conditions=[
            ConditionNot(ConditionLessThan(share, least)),
            ConditionOr([ConditionIn(words, ["3", "4"]), ConditionEquals(words, "9")]),
        ],
        if_steps=[],
        else_steps=[
            FailStep("TooFew", error_message=Join(on=" ", values=["the share", share, "is below", least]))
        ],
        depends_on=["Train"],
    )
    pipeline = Pipeline(
        "sdk", parameters=[least, words], steps=[count, train, gate], sagemaker_session=session
    )
    return str(pipeline.definition())


if __name__ == "__main__":
    print(build(*sys.argv[1:]))
