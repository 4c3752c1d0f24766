"""What is live, what is the newest approved version, and what waits for an answer."""

from typing import Any

from release import question, registry
from release.aws import Session
from release.environments import ENVIRONMENTS

from . import run
from .config import Settings
from .load import ENDPOINT_FILE


def in_words(settings: Settings, own: Session) -> str:
    """A few lines for a person.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    project = settings.project
    history = run.history(project, own)
    lines = [_approved(own.client("sagemaker"), settings.endpoint.model_package_group)]
    for environment in ENVIRONMENTS:
        live = history.live(environment)
        words = f"{live.in_words()}, endpoint {live.endpoint_name}" if live else "nothing is live yet"
        lines.append(f"  {environment:<11} {words}")
    asked = question.waiting(own.client("codepipeline"), project.slug)
    lines.append(
        f"  waits       {asked.summary}\n              make promote" if asked else "  waits       nothing"
    )
    return "\n".join(lines)


def _approved(sagemaker: Any, group: str) -> str:
    package = registry.newest_approved(sagemaker, group, file=ENDPOINT_FILE)
    words = f"version {package.number} is the newest approved one" if package else "no version is approved"
    return f"  {group}: {words}"
