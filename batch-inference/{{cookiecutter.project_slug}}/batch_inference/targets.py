"""What belongs to one environment, by name: everything that a pipeline definition refers to there.

terraform/batch makes these under the same names. All of them follow from config/project.yaml, so the
definition can be built before any of them is there.
"""

from typing import NamedTuple

from release.environments import PRODUCTION

from .config import Settings

WORK = "work"
"""The folder of the bucket that has one folder for each execution of the pipeline."""


class Target(NamedTuple):
    """One environment."""

    environment: str
    account: str
    pipeline: str
    bucket: str
    role_arn: str  # of the pipeline and its jobs
    begin_arn: str  # the function that finds the model
    publish_arn: str  # the function that puts the answers in their place
    key_arn: str  # the alias of the foundation's key


def target(settings: Settings, environment: str) -> Target:
    """The names of one environment."""
    project, account = settings.project, settings.account(environment)
    slug, prefix, region = project.slug, project.prefix, project.region
    # the foundation's conventions: service_role_path, and the alias of each environment's key
    path = f"/{prefix}/service/" if environment == PRODUCTION else f"/{prefix}/service-{environment}/"
    alias = f"{prefix}-{PRODUCTION}" if environment == PRODUCTION else prefix
    arn = f"arn:{project.partition}"
    functions = f"{arn}:lambda:{region}:{account}:function:{slug}"
    return Target(
        environment,
        account,
        settings.pipeline(environment),
        settings.data_bucket(environment),
        f"{arn}:iam::{account}:role{path}{slug}-{environment}-jobs",
        f"{functions}-begin-{environment}",
        f"{functions}-publish-{environment}",
        f"{arn}:kms:{region}:{account}:alias/{alias}",
    )
