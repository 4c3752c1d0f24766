"""Amazon API Gateway: HTTP APIs, whose requests moto does not serve.

``requests`` is in front of moto: it takes the requests to an API's own address.
"""


def install() -> None:
    """Patch moto: nothing, its calls are right for the templates' use."""
