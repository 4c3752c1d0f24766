"""What GetFunction returns as it was given.

moto 5.2.5 drops these settings, or keeps the first ones for ever: Terraform would change them at every apply.
"""

from __future__ import annotations

from typing import Any

from moto.awslambda.models import LambdaFunction

_KEPT = ("LoggingConfig", "DeadLetterConfig", "FileSystemConfigs", "KMSKeyArn", "TracingConfig")


def log_group(function: LambdaFunction) -> str:
    """Return the name of the log group that a function writes to."""
    given = vars(function).get("sandbox_given", {}).get("LoggingConfig") or {}
    return str(given.get("LogGroup") or f"/aws/lambda/{function.function_name}")


def dead_letters(function: LambdaFunction) -> str | None:
    """Return the ARN of the queue or topic for events that a function could not handle, if it has one."""
    given = vars(function).get("sandbox_given", {}).get("DeadLetterConfig") or {}
    return given.get("TargetArn") or None


def install() -> None:
    """Keep the settings beside moto's own."""
    create, describe = LambdaFunction.__init__, LambdaFunction.get_configuration
    update = LambdaFunction.update_configuration

    def keep(function: LambdaFunction, spec: dict[str, Any]) -> None:
        given = vars(function).setdefault("sandbox_given", {})
        given.update({key: spec[key] for key in _KEPT if key in spec})
        function.logs_group_name = log_group(function)

    def __init__(
        self: LambdaFunction, account_id: str, spec: dict[str, Any], *args: Any, **more: Any
    ) -> None:
        create(self, account_id, spec, *args, **more)
        keep(self, spec)

    def get_configuration(self: LambdaFunction, *args: Any, **more: Any) -> dict[str, Any]:
        described = describe(self, *args, **more)
        given = vars(self).get("sandbox_given", {})
        described |= {key: value for key, value in given.items() if value}
        logging = {"LogFormat": "Text", **(given.get("LoggingConfig") or {}), "LogGroup": log_group(self)}
        return {**described, "LoggingConfig": logging}

    def update_configuration(self: LambdaFunction, config_updates: dict[str, Any]) -> dict[str, Any]:
        keep(self, config_updates)
        return update(self, config_updates)

    for patch in (__init__, get_configuration, update_configuration):
        setattr(LambdaFunction, patch.__name__, patch)
