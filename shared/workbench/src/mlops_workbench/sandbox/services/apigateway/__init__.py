"""Amazon API Gateway: HTTP APIs, whose requests moto does not serve."""

from __future__ import annotations

from mlops_workbench.sandbox.service import Application, Service
from mlops_workbench.sandbox.services.apigateway import calls
from mlops_workbench.sandbox.services.apigateway.calls import execute_api


class ApiGateway(Service):
    """HTTP APIs."""

    def install(self) -> None:
        """Patch moto."""
        calls.install()

    def addresses(self, application: Application) -> Application:
        """Take the requests to an API's own address."""
        return execute_api(application)


SERVICE = ApiGateway()
