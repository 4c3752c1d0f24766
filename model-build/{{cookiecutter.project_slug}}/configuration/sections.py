"""The base of every mapping in a configuration file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in a configuration file: unknown keys are refused, values are not changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True)
