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
        from mlops_workbench.sandbox.services.sagemaker import models, registry
        from mlops_workbench.sandbox.services.sagemaker.endpoints import calls as endpoints
        from mlops_workbench.sandbox.services.sagemaker.jobs import calls as jobs
        from mlops_workbench.sandbox.services.sagemaker.pipelines import calls as pipelines

        for module in (jobs, registry, pipelines, models, endpoints):
            module.install()

    def start(self, session: Session) -> None:
        """Say of the jobs that a killed process left that they failed, and go on with the endpoints."""
        from mlops_workbench.sandbox.services.sagemaker.endpoints import running as endpoints
        from mlops_workbench.sandbox.services.sagemaker.jobs import running as jobs

        jobs.fail_interrupted()
        endpoints.start()

    def stop(self, session: Session) -> None:
        """End executions, jobs and instances."""
        from mlops_workbench.sandbox.services.sagemaker.endpoints import running as endpoints
        from mlops_workbench.sandbox.services.sagemaker.jobs import running as jobs
        from mlops_workbench.sandbox.services.sagemaker.pipelines import calls as pipelines

        pipelines.close(session)
        jobs.stop_all()
        endpoints.stop(session)

    def runtime(self, application: Application) -> Application:
        """Take the requests to endpoints."""
        from mlops_workbench.sandbox.services.sagemaker.endpoints.invocations import runtime

        return runtime(application)


SERVICE = SageMaker()
