"""What is live, which model would answer, and what waits for an answer."""

from typing import Any

from release import question, registry
from release.aws import Session
from release.environments import ENVIRONMENTS

from . import run
from .config import Settings
from .load import TRANSFORM_FILE


def in_words(settings: Settings, own: Session) -> str:
    """A few lines for a person.

    Raises:
        UserError: AWS does not answer, or not to these credentials.
    """
    project = settings.project
    history = run.history(project, own)
    lines = [_approved(own.client("sagemaker"), settings.transform.model_package_group)]
    for environment in ENVIRONMENTS:
        live = history.live(environment)
        where = f"s3://{settings.data_bucket(environment)}/{settings.transform.input.prefix}"
        lines.append(
            f"  {environment:<11} {f'{live.in_words()}; put files into {where}' if live else 'nothing yet'}"
        )
    asked = question.waiting(own.client("codepipeline"), project.slug)
    lines.append(
        f"  waits       {asked.summary}\n              make promote" if asked else "  waits       nothing"
    )
    return "\n".join(lines)


def _approved(sagemaker: Any, group: str) -> str:
    package = registry.newest_approved(sagemaker, group, file=TRANSFORM_FILE)
    if package is None:
        return f"  {group}: no version is approved, so no file can be answered"
    return f"  {group}: version {package.number} is the newest approved one, and answers the next file"
