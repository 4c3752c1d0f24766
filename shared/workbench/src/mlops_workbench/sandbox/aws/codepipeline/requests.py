"""What the calls of CodePipeline have in common: requests, errors, pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

from moto.codepipeline.exceptions import PipelineExecutionNotFoundException, PipelineNotFoundException
from moto.codepipeline.models import CodePipeline
from moto.codepipeline.responses import CodePipelineResponse
from moto.core.exceptions import JsonRESTError
from moto.sts.models import sts_backends

from mlops_workbench.sandbox.delivery.executions import Execution, of_backend


class Refusal(JsonRESTError):
    """An error of the service, by its name."""

    code = 400


def register(call: Callable[[CodePipelineResponse], Any]) -> None:
    """Make a function the answer to the API's call of its name."""
    setattr(CodePipelineResponse, call.__name__, call)


def params_of(response: CodePipelineResponse) -> dict[str, Any]:
    """Return a request's body."""
    return cast(dict[str, Any], json.loads(response.body or "{}"))


def find_pipeline(response: CodePipelineResponse, name: str) -> CodePipeline:
    """Return a pipeline.

    Raises:
        PipelineNotFoundException: there is none.
    """
    pipeline = response.codepipeline_backend.pipelines.get(name)
    if pipeline is None:
        raise PipelineNotFoundException(
            f"Account '{response.current_account}' does not have a pipeline with name '{name}'"
        )
    return pipeline


def executions_of(response: CodePipelineResponse, name: str) -> list[Execution]:
    """Return a pipeline's executions, oldest first.

    Raises:
        PipelineNotFoundException: there is no such pipeline.
    """
    find_pipeline(response, name)
    return list(of_backend(response.codepipeline_backend).get(name, []))


def find_execution(response: CodePipelineResponse, name: str, id_: str) -> Execution:
    """Return an execution.

    Raises:
        PipelineNotFoundException: there is no such pipeline.
        PipelineExecutionNotFoundException: it has no such execution.
    """
    for execution in executions_of(response, name):
        if execution.id == id_:
            return execution
    raise PipelineExecutionNotFoundException(
        f"The pipeline {name} does not have an execution with id '{id_}'"
    )


def page(items: Sequence[Any], params: dict[str, Any], limit: int = 100) -> tuple[list[Any], str | None]:
    """Cut a list; return the page, and the token of the next one when there is more.

    Raises:
        Refusal: a token that no call gave.
    """
    token = params.get("nextToken")
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError:
        raise Refusal("InvalidNextTokenException", f"not a token of this call: {token!r}") from None
    end = start + (params.get("maxResults") or limit)
    more = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), more


def known(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without what is not known."""
    return {key: value for key, value in answer.items() if value not in (None, "", {})}


def caller_of(response: CodePipelineResponse) -> str:
    """Return the ARN of who calls."""
    backend = sts_backends[response.current_account]["aws"]
    session = backend.get_assumed_role_from_access_key(response.get_access_key())
    if session is not None:
        return str(session.arn)
    return f"arn:aws:iam::{response.current_account}:user/sandbox"
