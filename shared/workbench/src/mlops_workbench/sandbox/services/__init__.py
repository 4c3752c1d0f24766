"""The emulated services, one folder for each.

A folder's ``__init__`` states the service behind its one protocol (``mlops_workbench.sandbox.service``); of a
small one it is all there is. Beside it, where a service has such a thing:

calls.py      what AWS clients ask for: patches of moto's requests and answers
records.py    what the service keeps: on moto's backends, so that a snapshot holds it
running.py    what goes on after a call has been answered: threads, processes, turns
…             and modules named for what only this service has (buildspec, targets, rules)

What is large (SageMaker) has packages of the same kind inside. A service reaches another one by boto3 or by
an event, never by import; what several need is on the ground floor (session, iam, containers).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from mlops_workbench.sandbox.service import Service

#: In the order in which they start; they stop in the opposite one, so that what starts others ends first.
NAMES = (
    "iam",
    "sts",
    "kms",
    "s3",
    "ecr",
    "sqs",
    "sns",
    "events",
    "lambda_",
    "logs",
    "cloudwatch",
    "autoscaling",
    "apigateway",
    "sagemaker",
    "codebuild",
    "codepipeline",
)


def load() -> Sequence[Service]:
    """Import the services, which takes moto's second, and return them in order."""
    return [importlib.import_module(f"{__name__}.{name}").SERVICE for name in NAMES]
