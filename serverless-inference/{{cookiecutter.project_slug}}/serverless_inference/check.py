"""Is everything there that a deployment needs? Answers on a laptop, before a push."""

from configuration.command_line import Finding
from release.environments import ENVIRONMENTS
from release.registry import newest_model

from .config import Environment, Settings
from .load import ENDPOINT_FILE


def check(settings: Settings) -> list[Finding]:
    """Look at the configuration, valid in itself, and at the model registry if there are credentials."""
    return [
        Finding(True, "config/project.yaml and config/endpoint.yaml are valid"),
        *(_environment(settings, name) for name in ENVIRONMENTS),
        newest_model(settings.project, settings.endpoint.model_package_group, file=ENDPOINT_FILE),
    ]


def _environment(settings: Settings, name: str) -> Finding:
    wanted = settings.environment(name)
    where = f"{name}: endpoint {settings.endpoint_name(name)} in account {settings.account(name)}"
    if not wanted.enabled:
        return Finding(None, f"{where} is not enabled: if it is there, the next deployment takes it down")
    requests = len(settings.smoke_test(name).requests)
    return Finding(True, f"{where}, {_size(wanted)}; {requests} smoke-test request(s)")


def _size(wanted: Environment) -> str:
    warm = wanted.provisioned_concurrency
    kept = f", {warm.minimum} to {warm.maximum} kept warm" if warm else ""
    return f"{wanted.memory_mb} MB, at most {wanted.max_concurrency} request(s) at a time{kept}"
