"""What a serverless-inference repository runs: two endpoints that are paid for while they answer."""

from collections.abc import Mapping
from typing import Any

from .items import HOURS_A_MONTH, MB_OF_GB, Item, Use, item

KB_OF_GB = MB_OF_GB * 1000


def items(endpoint: Mapping[str, Any], use: Use) -> list[Item]:
    """Both endpoints.

    Args:
        endpoint: config/endpoint.yaml.
        use: how much it is used.
    """
    asked = {"staging": use.staging_requests, "production": use.requests}
    found: list[Item] = []
    for name, requests in asked.items():
        if endpoint[name]["enabled"]:
            found += _environment(name, endpoint[name], requests, use)
    return found


def _environment(name: str, settings: Mapping[str, Any], requests: float, use: Use) -> list[Item]:
    part, memory = f"endpoint, {name}", settings["memory_mb"]
    seconds, how = requests * use.request_ms / 1000, f"{requests:,.0f} requests x {use.request_ms:g} ms"
    kept = settings["provisioned_concurrency"]
    kind = "serverless" if kept is None else "provisioned_duration"
    found = [
        item(part, f"answering, {memory} MB", f"sagemaker.{kind}.{memory}", seconds, how),
        item(
            part,
            "requests and answers",
            "sagemaker.serverless.data",
            requests * use.request_kb / KB_OF_GB,
            f"{requests:,.0f} x {use.request_kb:g} kB",
        ),
    ]
    if kept is not None:
        bounds = [kept, *kept["schedule"]]
        low, high = min(each["minimum"] for each in bounds), max(each["maximum"] for each in bounds)
        month = HOURS_A_MONTH * 3600
        how = f"{low} to {high} containers, all month" if low < high else f"{low} containers, all month"
        key = f"sagemaker.provisioned.{memory}"
        found.append(Item(part, f"kept ready, {memory} MB", key, low * month, high * month, how))
    return found
