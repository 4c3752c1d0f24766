"""What moto lacks, one folder for each service.

``install`` patches moto's classes once for the process. It touches only calls that moto has not, or answers
wrongly for the templates' use; each module says which and why.
"""

from __future__ import annotations

import functools

from mlops_sandbox.aws import (
    apigatewayv2,
    awslambda,
    codebuild,
    codepipeline,
    events,
    iam,
    kms,
    refusals,
    s3,
    sagemaker,
    sns,
    sqs,
    sts,
)


@functools.cache
def install() -> None:
    """Patch moto; a second call does nothing."""
    refusals.install()
    for service in (
        apigatewayv2,
        awslambda,
        codebuild,
        codepipeline,
        events,
        iam,
        kms,
        s3,
        sagemaker,
        sns,
        sqs,
        sts,
    ):
        service.install()
