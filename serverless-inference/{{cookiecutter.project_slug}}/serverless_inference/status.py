"""What is live, what is the newest approved version, and what waits for an answer."""

from typing import Any

from . import promote, registry
from .aws import Session
from .config import Settings
from .history import History
from .record import ENVIRONMENTS


def in_words(settings: Settings, own: Session) -> str:
    """A few lines for a person.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    project = settings.project
    history = History(own.client("s3"), project.bucket)
    lines = [_approved(own.client("sagemaker"), settings.endpoint.model_package_group)]
    for environment in ENVIRONMENTS:
        live = history.live(environment)
        words = f"{live.in_words()}, endpoint {live.endpoint_name}" if live else "nothing is live yet"
        lines.append(f"  {environment:<11} {words}")
    question = promote.waiting(own.client("codepipeline"), project.slug)
    lines.append(
        f"  waits       {question.summary}\n              make promote"
        if question
        else "  waits       nothing"
    )
    return "\n".join(lines)


def _approved(sagemaker: Any, group: str) -> str:
    package = registry.newest_approved(sagemaker, group)
    words = f"version {package.number} is the newest approved one" if package else "no version is approved"
    return f"  {group}: {words}"
