"""The base of every mapping in a configuration file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in a configuration file: unknown keys are refused, values are not changed later.

    A docstring below a key is its description in the JSON Schema, which editors show.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
