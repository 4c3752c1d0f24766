"""``#{…}`` in the configuration of an action."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlops_workbench.sandbox.delivery.executions import Execution

_REFERENCE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")


class UnknownVariable(ValueError):
    """A reference to a variable that no action has made."""


def resolve(configuration: Mapping[str, str], execution: Execution) -> dict[str, str]:
    """Return an action's configuration with its references replaced.

    Raises:
        UnknownVariable: a namespace or a variable that is not there; in AWS, too, the action then fails.
    """

    def value(found: re.Match[str]) -> str:
        namespace, name = found.groups()
        known = spaces.get(namespace)
        if known is None or name not in known:
            names = ", ".join(sorted(known)) if known else "none"
            raise UnknownVariable(
                f"#{{{namespace}.{name}}}: there is no such variable; the namespace {namespace} has {names}"
            )
        return known[name]

    spaces: dict[str, Mapping[str, str]] = {
        **execution.namespaces,
        "variables": execution.variables,
        "codepipeline": {"PipelineExecutionId": execution.id},
    }
    return {key: _REFERENCE.sub(value, text) for key, text in configuration.items()}
