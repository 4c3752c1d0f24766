"""AWS CodeBuild: projects as they were given, and builds that run."""

from mlops_workbench.sandbox.aws.codebuild import builds, projects


def install() -> None:
    """Patch moto."""
    projects.install()
    builds.install()
