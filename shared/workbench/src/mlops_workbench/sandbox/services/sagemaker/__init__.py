"""Amazon SageMaker: jobs that really run, pipelines, the model registry, models and serverless endpoints.

moto is imported when the service is installed, not with this package: whoever only checks a pipeline's
definition (``pipelines.prepare``) needs none of it, and moto takes a second.
"""

from __future__ import annotations

from mlops_workbench.sandbox.service import Application, Service
from mlops_workbench.sandbox.session import Session


class SageMaker(Service):
    """Jobs, pipelines, models and endpoints."""

    def install(self) -> None:
        """Patch moto."""
        from mlops_workbench.sandbox.aws.sagemaker import (
            endpoint_configs,
            endpoints,
            job_calls,
            model_package_groups,
            model_packages,
            models,
            pipelines,
        )

        job_calls.install()
        model_package_groups.install()
        model_packages.install()
        pipelines.install()
        models.install()
        endpoint_configs.install()
        endpoints.install()

    def start(self, session: Session) -> None:
        """Say of the jobs that a killed process left that they failed, and go on with the endpoints."""
        from mlops_workbench.sandbox.aws.sagemaker import jobs
        from mlops_workbench.sandbox.endpoints import changes

        jobs.fail_interrupted()
        changes.start()

    def stop(self, session: Session) -> None:
        """End executions, jobs and instances."""
        from mlops_workbench.sandbox.aws.sagemaker import jobs, pipeline_executions
        from mlops_workbench.sandbox.endpoints import changes

        pipeline_executions.close(session)
        jobs.stop_all()
        changes.stop(session)

    def runtime(self, application: Application) -> Application:
        """Take the requests to endpoints."""
        from mlops_workbench.sandbox.aws.sagemakerruntime.requests import runtime

        return runtime(application)


SERVICE = SageMaker()
