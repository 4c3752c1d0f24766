"""SageMaker jobs and Lambda functions as local processes under the container contract.

A request is what the Create*Job call takes, already resolved and validated. The answer is what the matching
Describe*Job call returns. Every job is also recorded in the sandbox's SageMaker, so plain boto3 sees it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_workbench.sandbox.errors import JobFailed, JobStopped
    from mlops_workbench.sandbox.images import Image, Images, ImagesError
    from mlops_workbench.sandbox.jobs.context import JobContext
    from mlops_workbench.sandbox.jobs.lambdas import run_lambda
    from mlops_workbench.sandbox.jobs.processing import run_processing
    from mlops_workbench.sandbox.jobs.training import run_training
    from mlops_workbench.sandbox.jobs.transform import run_transform

__all__ = [
    "Image",
    "Images",
    "ImagesError",
    "JobContext",
    "JobFailed",
    "JobStopped",
    "run_lambda",
    "run_processing",
    "run_training",
    "run_transform",
]

#: The module of each name.
_FROM = {
    "Image": "images",
    "Images": "images",
    "ImagesError": "images",
    "JobContext": "jobs.context",
    "JobFailed": "errors",
    "JobStopped": "errors",
    "run_lambda": "jobs.lambdas",
    "run_processing": "jobs.processing",
    "run_training": "jobs.training",
    "run_transform": "jobs.transform",
}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): running a job needs moto, checking its request does not."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"mlops_workbench.sandbox.{_FROM[name]}"), name)
