"""Amazon API Gateway: HTTP APIs, whose requests moto does not serve.

``requests`` is in front of moto: it takes the requests to an API's own address.
"""


def install() -> None:
    """Patch moto."""
    # Imported here: `requests` is needed before moto is.
    from mlops_workbench.sandbox.aws.apigatewayv2 import stages

    stages.install()
