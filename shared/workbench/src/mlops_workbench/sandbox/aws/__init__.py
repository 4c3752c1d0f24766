"""What moto lacks, one folder for each service.

``install`` patches moto's classes once for the process. It touches only calls that moto has not, or answers
wrongly for the templates' use; each module says which and why.
"""

from __future__ import annotations

import functools
import importlib

#: The folders here; each has an ``install`` of its own.
SERVICES = (
    "apigatewayv2",
    "applicationautoscaling",
    "awslambda",
    "cloudwatch",
    "codebuild",
    "codepipeline",
    "ecr",
    "events",
    "iam",
    "kms",
    "logs",
    "s3",
    "sagemaker",
    "sns",
    "sqs",
    "sts",
)


@functools.cache
def install() -> None:
    """Patch moto; a second call does nothing."""
    # Imported now: they need what runs jobs, builds and pipelines, which in turn need records of theirs.
    for module in ("dispatch", "refusals", *SERVICES):
        importlib.import_module(f"{__name__}.{module}").install()
