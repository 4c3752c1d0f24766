"""Settings that everything has in which a model answers: its container's variables, and `watching:`."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from configuration.files import Section

MOST_VARIABLES, LONGEST_VARIABLE = 100, 1024  # botocore: EnvironmentMap, EnvironmentValue
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(^|_)(SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIALS?)$", re.IGNORECASE)

#: What the container, the model package or the service sets: another value breaks serving, or the choice
#: of the model.
_RESERVED = re.compile(
    r"SAGEMAKER_(PROGRAM|SUBMIT_DIRECTORY|REGION|BASE_DIR|HANDLER|BIND_TO_PORT|SAFE_PORT_RANGE|MULTI_MODEL)"
    r"|HF_MODEL_ID|AWS_.*|PATH|PYTHONPATH|PYTHONHOME|LD_PRELOAD|LD_LIBRARY_PATH"
)


def _one_day_field(cron: str) -> str:
    """[read] Of day of month and day of week one must be `?` (cron expressions of EventBridge)."""
    fields = cron.removeprefix("cron(").removesuffix(")").split()
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError("? as either the third field (day of month) or the fifth (day of week)")
    return cron


Cron = Annotated[str, StringConstraints(pattern=r"^cron\(\S+( \S+){5}\)$"), AfterValidator(_one_day_field)]


class Watching(Section):
    """What is answered, as figures without texts, compared with the training data."""

    days: Annotated[int, Field(ge=1, le=30)] = 7
    """The last days, whose answers are compared with the training data."""
    texts: Annotated[int, Field(ge=1)] = 200
    """With fewer texts than this there is no verdict."""
    drift: Annotated[float, Field(gt=0, le=10)] = 0.2
    """Alarm above this: population stability index, less what chance explains; 0.1 is little, 0.25 much."""
    schedule: Cron = "cron(0 5 * * ? *)"
    """When they are compared: cron(minutes hours day month weekday year), in UTC."""


def harmless(variables: dict[str, str]) -> dict[str, str]:
    """A container's environment variables, if their names do no harm and their values are no secrets.

    Raises:
        ValueError: there are too many, or one of them breaks the container or shows a secret.
    """
    if len(variables) > MOST_VARIABLES:
        raise ValueError(f"at most {MOST_VARIABLES} variables")
    for name, value in variables.items():
        problem = _problem(name, value)
        if problem:
            raise ValueError(f"{name}: {problem}")
    return variables


def _problem(name: str, value: str) -> str | None:
    if not _VARIABLE.fullmatch(name) or len(name) > LONGEST_VARIABLE:
        return "expected a name of letters, digits and underscores that does not begin with a digit"
    if _RESERVED.fullmatch(name):
        return "expected another variable: this one is the container's own, and changing it breaks serving"
    if _SECRET.search(name):
        return (
            "expected no secret, as whoever may describe the model can read it; keep it in AWS Secrets "
            "Manager, let inference.py read it there, and give only its ARN here, in a variable such as "
            f"{_SECRET.sub('', name) or 'SERVICE'}_SECRET_ARN"
        )
    if len(value) > LONGEST_VARIABLE:
        return f"expected at most {LONGEST_VARIABLE} characters, got {len(value)}"
    return None
