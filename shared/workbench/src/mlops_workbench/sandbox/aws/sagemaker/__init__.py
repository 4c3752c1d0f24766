"""Amazon SageMaker: jobs that really ran, the model registry, pipelines, models and endpoints."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.sagemaker import jobs, model_package_groups, model_packages


def install() -> None:
    """Patch moto."""
    jobs.install()
    model_package_groups.install()
    model_packages.install()
    # Imported here: pipelines and endpoints run jobs' processes, and jobs are recorded through this package.
    from mlops_workbench.sandbox.aws.sagemaker import endpoint_configs, endpoints, models, pipelines

    pipelines.install()
    models.install()
    endpoint_configs.install()
    endpoints.install()
