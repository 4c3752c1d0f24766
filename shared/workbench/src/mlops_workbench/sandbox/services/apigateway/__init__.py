"""Amazon API Gateway: HTTP APIs, whose requests moto does not serve."""

from __future__ import annotations

from mlops_workbench.sandbox.aws.apigatewayv2 import stages
from mlops_workbench.sandbox.aws.apigatewayv2.requests import execute_api
from mlops_workbench.sandbox.service import Application, Service


class ApiGateway(Service):
    """HTTP APIs."""

    def install(self) -> None:
        """Patch moto."""
        stages.install()

    def resources(self, application: Application) -> Application:
        """Take the requests to an API's own address."""
        return execute_api(application)


SERVICE = ApiGateway()
