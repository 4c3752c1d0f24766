"""`watching:` in the configuration of what answers."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from configuration.sections import Section


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
