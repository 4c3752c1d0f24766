"""Is everything there that a deployment needs? Answers on a laptop, before a push."""

from configuration.command_line import Finding
from configuration.errors import UserError
from release.environments import ENVIRONMENTS, PRODUCTION, STAGING
from release.registry import newest_model

from . import definition, local_file, package, report, retarget
from .config import Settings
from .load import TRANSFORM_FILE
from .targets import target


def check(settings: Settings) -> list[Finding]:
    """Look at the configuration, build what would be deployed, and ask the model registry if that can be."""
    return [
        Finding(True, "config/project.yaml and config/transform.yaml are valid"),
        *(_environment(settings, name) for name in ENVIRONMENTS),
        _canary(settings),
        _definition(settings),
        newest_model(settings.project, settings.transform.model_package_group, file=TRANSFORM_FILE),
    ]


def _environment(settings: Settings, name: str) -> Finding:
    where = f"{name}: s3://{settings.data_bucket(name)}/{settings.transform.input.prefix}"
    if not settings.environment(name).enabled:
        return Finding(None, f"{where} is not enabled: what is there is taken down by the next deployment")
    return Finding(True, f"{where}. {report.settings_in_words(settings, name)}")


def _canary(settings: Settings) -> Finding:
    canary = settings.transform.canary
    path = settings.root / canary.file
    try:
        local_file.check(path, path.name, settings.transform)
    except UserError as error:
        return Finding(False, f"{error}; put rows of your own there, or name another file (canary.file)")
    return Finding(True, f"the canary file, {canary.file}, can be read as config/transform.yaml says")


def _definition(settings: Settings) -> Finding:
    built = definition.build(settings, target(settings, STAGING))
    changes = retarget.substitutions(settings)
    retarget.retarget(built, changes)
    package.functions(settings.root)
    applied = sum(1 for change in changes if change.staging != change.production)
    return Finding(
        True, f"the pipeline's definition builds; {applied} declared substitutions make {PRODUCTION}'s of it"
    )
