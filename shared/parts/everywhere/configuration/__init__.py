"""What every repository has in common: configuration files, `config/project.yaml`, and the command line.

What is a person's to mend is an error of here: shown as lines of text, never as a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something that the reader can put right; `str(error)` says what, one problem a line."""


class ConfigError(UserError):
    """One or more problems in the configuration files."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))
